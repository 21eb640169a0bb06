"""A snapshot and the entries behind it come to what the whole journal comes to, wherever it was made."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.domain.errors import SnapshotUnusable
from trunkline.domain.journal import (
    CancelRequested,
    Entry,
    RunCancelled,
    RunCompleted,
    RunContinued,
    RunFailed,
    RunRestarted,
    RunStarted,
    StepCompleted,
    StepScheduled,
)
from trunkline.domain.snapshot import Snapshot, decode
from trunkline.engine.fold import InstanceState, fold

INSTANCE = "00000000-0000-4000-8000-000000000001"
# What journals hold: text with NUL is refused at the way in.
text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=3)
JSON = st.recursive(st.none() | st.integers(-9, 9) | text, lambda inner: st.lists(inner, max_size=2))
MOVES = ["start", "step", "complete", "fail", "cancel", "continue", "restart"]
moves = st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 9), JSON))


def lived(schedule: list[tuple[str, int, Any]]) -> list[Entry]:
    """A journal of runs that overlap as they like."""
    entries: list[Entry] = []
    open_runs: list[str] = []
    numbers: dict[str, int] = {}
    for place, (move, number, value) in enumerate(schedule):
        if move == "start" or not open_runs:
            open_runs.append(f"run{place}")
            entries.append(RunStarted(open_runs[-1], input=value, at=1.0, seed="s", message_id="m"))
        elif move == "step":
            run, key = open_runs[number % len(open_runs)], f"tool:t#{place}"
            entries.append(StepScheduled(run, key=key, kind="tool", name="t", args=value))
            if number % 2:
                entries.append(StepCompleted(run, key=key, value=value, at=2.0))
        elif move in ("continue", "restart"):
            run = open_runs[number % len(open_runs)]
            numbers[run] = numbers.get(run, 1) + 1
            entries.append(_anew(move, run, numbers[run], value))
        else:
            entries.append(_end(move, open_runs.pop(number % len(open_runs)), value))
    return entries


def _anew(move: str, run: str, number: int, value: Any) -> Entry:
    left = [{"name": "go", "data": value, "at": 1.0, "message_id": "s"}]
    if move == "continue":
        return RunContinued(run, input=value, at=3.0, number=number, state={"by": value}, signals=left)
    return RunRestarted(run, at=3.0, number=number, delay=1.0, restarts=[3.0], error={"type": "X"}, signals=left)


def _end(move: str, run: str, value: Any) -> Entry:
    if move == "complete":
        return RunCompleted(run, output=value, state={"of": value}, conversation=[{"role": "user", "content": value}])
    return RunFailed(run, error={"type": "X"}) if move == "fail" else RunCancelled(run, reason="no")


def stored(snapshot: Snapshot) -> Snapshot:
    """As Postgres gives it back: the content as it was written, to the byte."""
    body = snapshot.encode(INSTANCE).decode()
    parts = json.loads(body)
    content = body[body.index('"content":') + len('"content":') : -1]
    assert json.loads(content) == parts["content"]
    return decode(INSTANCE, snapshot.version, str(parts["format"]), parts["digest"], content)


@given(moves)
def test_a_snapshot_and_its_tail_come_to_what_the_whole_journal_comes_to(schedule: list[tuple[str, int, Any]]) -> None:
    entries = lived(schedule)
    whole = fold(entries)
    for version in range(1, len(entries) + 1):
        then = fold(entries[:version])
        made = then.snapshot(version)
        if made is None:
            continue
        snapshot = stored(made)
        assert snapshot == made
        again = fold(entries[version:], InstanceState.of(snapshot))
        assert (again.state, again.conversation) == (whole.state, whole.conversation)
        assert again.open_runs == whole.open_runs
        held = [run.started.run for run in then.open_runs]
        assert list(again.runs) == [*held, *(run for run in whole.runs if run not in then.runs)]


def test_one_that_holds_a_run_says_all_that_the_run_begins_with() -> None:
    begun = RunStarted("r", input=1, at=1.0, seed="s", message_id="event:e", deadline=9.0)
    used = StepCompleted("r", key="llm:m#1", value=1, at=2.0, usage={"input_tokens": 3, "cost_usd": 0.5})
    asked = StepScheduled("r", key="llm:m#1", kind="llm", name="m")
    then = fold([begun, asked, used, CancelRequested("r", reason="late", at=9.0), _anew("continue", "r", 2, "next")])
    snapshot = then.snapshot(5)
    assert snapshot is not None
    assert snapshot.held is not None
    [run] = InstanceState.of(stored(snapshot)).open_runs
    assert (run.started, run.late, run.usage.input_tokens, run.usage.cost_usd) == (begun, True, 3, 0.5)
    assert (run.life.started.input, run.life.number, run.life.started.seed) == ("next", 2, "s")
    assert [signal.data for signal in run.life.signals] == ["next"]
    assert json.loads(snapshot.encode(INSTANCE))["format"] == 2
    assert json.loads(WHOLE.encode(INSTANCE))["format"] == 1, "older workers read it"


WHOLE = Snapshot(7, {"total": 3}, [{"role": "user", "content": "ü"}])


def _parts(snapshot: Snapshot = WHOLE) -> dict[str, Any]:
    body = snapshot.encode(INSTANCE).decode()
    return {"format_": "1", "digest": json.loads(body)["digest"], "content": body[body.index('"content":') + 10 : -1]}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format_": "3"}, "its format is 3"),
        ({"format_": "2"}, "another shape"),
        ({"format_": None}, "its format is None"),
        ({"digest": "0" * 64}, "digest does not fit"),
        ({"digest": None}, "digest does not fit"),
        ({"content": None}, "digest does not fit"),
        ({"content": '{"state":{"total":4},"conversation":[]}'}, "digest does not fit"),
        ({"version": 8}, "digest does not fit"),
        ({"instance": "00000000-0000-4000-8000-000000000002"}, "digest does not fit"),
    ],
)
def test_one_that_was_changed_is_told_apart(change: dict[str, Any], says: str) -> None:
    sound = {"instance": INSTANCE, "version": 7, **_parts()}
    assert decode(**sound) == WHOLE
    with pytest.raises(SnapshotUnusable, match=says):
        decode(**{**sound, **change})


@pytest.mark.parametrize("conversation", [None, 7])
def test_one_of_another_shape_is_told_apart(conversation: Any) -> None:
    with pytest.raises(SnapshotUnusable, match="another shape"):
        decode(instance=INSTANCE, version=7, **_parts(Snapshot(7, None, conversation)))
