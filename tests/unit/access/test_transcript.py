"""Whatever is lost, repeated or late: who appends the tokens since the last reset ends with the recorded text."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trunkline.access.transcript import RunEvent, Transcript
from trunkline.domain.errors import BadInput
from trunkline.domain.journal import RunCompleted, RunStarted, StepCompleted, StepRetried, StepScheduled
from trunkline.domain.work import StreamChunk

KEY = "llm:openai/m#1"
WORDS = ["Once ", "upon ", "a ", "time"]
JOURNAL = [
    RunStarted("r", input=1, at=1.0, seed="s", message_id="m"),
    StepScheduled("r", key=KEY, kind="llm", name="m"),
    StepCompleted("r", key=KEY, value={"text": "".join(WORDS)}, at=2.0),
    RunCompleted("r", output=1),
]


def chunk(seq: int, *, attempt: int = 1, text: str | None = None) -> StreamChunk:
    said = WORDS[seq] if text is None else text
    return StreamChunk(run="r", step=KEY, version=2, attempt=attempt, seq=seq, text=said)


class Reader:
    """A client: it appends tokens, forgets at a reset, and remembers the last id."""

    def __init__(self) -> None:
        self.text, self.last, self.types = "", "", []

    def take(self, events: list[RunEvent]) -> None:
        for event in events:
            self.last = event.id
            self.types.append(event.type)
            if event.type == "token":
                self.text += event.data["text"]
            elif event.type == "reset":
                self.text = ""


def entries(transcript: Transcript, first: int, last: int) -> list[RunEvent]:
    return [event for version in range(first, last + 1) for event in transcript.entry(version, JOURNAL[version - 1])]


def test_all_is_well() -> None:
    transcript, reader = Transcript("r"), Reader()
    reader.take(entries(transcript, 1, 2))
    reader.take([event for seq in range(4) for event in transcript.chunk(chunk(seq))])
    reader.take(entries(transcript, 3, 4))
    assert reader.types == ["status", "step", *["token"] * 4, "step", "status"]
    assert reader.text == "Once upon a time"


def test_a_repeated_attempt_says_reset_first() -> None:
    transcript, reader = Transcript("r"), Reader()
    reader.take(entries(transcript, 1, 2))
    reader.take([event for seq in range(2) for event in transcript.chunk(chunk(seq, text="old "))])
    reader.take(list(transcript.entry(3, StepRetried("r", key=KEY, attempt=2, reason="takeover"))))
    reader.take([event for seq in range(4) for event in transcript.chunk(chunk(seq, attempt=2))])
    assert reader.types.count("reset") == 1
    assert reader.text == "Once upon a time"
    assert list(transcript.chunk(chunk(2, text="late"))) == []


def test_no_tokens_at_all() -> None:
    transcript, reader = Transcript("r"), Reader()
    reader.take(entries(transcript, 1, 4))
    assert (reader.text, reader.types.count("reset")) == ("Once upon a time", 0)


@pytest.mark.parametrize("position", ["x", "1:2", "1:2.3", "-1", "1" * 30, "1:2.3.4.5", "1\n"])
def test_an_id_that_was_never_given_is_refused(position: str) -> None:
    with pytest.raises(BadInput):
        Transcript.of("r", position)


@settings(max_examples=500, deadline=None)
@example([(1, 0), (1, 0), (2, 0), (1, 0)], [False, False, True, *[False] * 9], False)
@given(
    st.lists(st.tuples(st.integers(1, 2), st.integers(0, 3)), max_size=12),
    st.lists(st.booleans(), min_size=12, max_size=12),
    st.booleans(),
)
def test_the_text_is_the_recorded_one_in_the_end(
    chunks: list[tuple[int, int]], cuts: list[bool], remembered: bool
) -> None:
    """Chunks in any order, with repeats and holes; the connection breaks anywhere, and goes on from the last id."""
    transcript, reader = Transcript("r"), Reader()
    reader.take(entries(transcript, 1, 2))
    sent: list[StreamChunk] = []
    for (attempt, seq), cut in zip(chunks, cuts, strict=False):
        sent.append(chunk(seq, attempt=attempt, text=WORDS[seq] if attempt == 2 else "wrong "))
        reader.take(list(transcript.chunk(sent[-1])))
        if cut:
            transcript = Transcript.of("r", reader.last)
            for one in sent if remembered else ():
                reader.take(list(transcript.chunk(one)))
            if transcript.version < 2:
                reader.take(entries(transcript, transcript.version + 1, 2))
    reader.take(entries(transcript, 3, 4))
    assert reader.text == "Once upon a time"
    assert reader.types[-1] == "status"
