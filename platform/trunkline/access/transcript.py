"""A run as somebody watches it: its journal and its tokens as one row of events, clean whatever happened on the way.

The journal is the truth; tokens are its foretaste. A repeated attempt says ``reset`` first. When a model's answer is
recorded, what was shown of it is completed, or taken back and shown as it was recorded. So whoever appends the tokens
of a step since its last ``reset`` has the recorded text in the end.

An event's id is where its reader stands: ``<journal version>``, in the middle of an answer followed by
``:<its step's version>.<attempt>.<seq>``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from trunkline.domain.errors import BadInput
from trunkline.domain.journal import (
    Entry,
    RunCancelled,
    RunCompleted,
    RunContinued,
    RunFailed,
    RunParked,
    RunRestarted,
    RunResumed,
    RunStarted,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepRetried,
    StepScheduled,
)
from trunkline.domain.status import RunStatus
from trunkline.domain.work import StreamChunk

MOST_AHEAD = 2000

_POSITION = re.compile(r"(\d{1,18})(?::(\d{1,18})\.(\d{1,9})\.(-?\d{1,9}))?")

_MODEL_CALL = re.compile(r"(?:^|/)llm[:@]")  # behind the branch's path; the model's own name may hold slashes


@dataclass(frozen=True, slots=True)
class RunEvent:
    """``token``: ``{"step", "text"}`` · ``reset``: ``{"step"}`` · ``step``: ``{"step", "status", …}`` · ``status``:
    ``{"run_id", "status", …}``, the last one with ``output`` or ``error``; one whose handler begins anew is ``running``
    ``because`` it was ``restarted`` or ``continued``.
    """

    id: str
    type: Literal["token", "reset", "step", "status"]
    data: dict[str, Any]

    @property
    def final(self) -> bool:
        """Whether nothing comes after it."""
        return self.type == "status" and RunStatus(self.data["status"]).ended


@dataclass(slots=True)
class _Text:
    """What was shown of one answer. ``whole``: it is known, and nothing is missing."""

    version: int
    attempt: int
    seq: int = -1
    text: str = ""
    whole: bool = True


@dataclass
class Transcript:
    """For one reader. ``version`` is the journal version up to which the reader has everything."""

    run: str
    version: int = 0
    _texts: dict[str, _Text] = field(default_factory=dict)
    _settled: set[str] = field(default_factory=set)
    _ahead: list[StreamChunk] = field(default_factory=list)  # of steps that the journal has not told of yet
    _shown: _Text | None = None  # what a reader who comes back says to have

    def __post_init__(self) -> None:
        self._from = self.version

    @classmethod
    def of(cls, run: str, position: str) -> Transcript:
        """For a reader who has everything up to the event with the id ``position``; empty from the beginning.

        Raises:
            BadInput: it is not the id of an event.
        """
        if not position:
            return cls(run)
        match = _POSITION.fullmatch(position)
        if match is None:
            raise BadInput(target="Last-Event-ID", reason="it is not the id of an event of this run")
        version, *shown = match.groups()
        if shown[0] is None:
            return cls(run, int(version))
        step, attempt, seq = map(int, shown)
        return cls(run, int(version), _shown=_Text(step, attempt, seq, whole=False))

    # --- tokens -----------------------------------------------------------------------------------------------------

    def chunk(self, chunk: StreamChunk) -> Iterator[RunEvent]:
        """A piece of text came, perhaps for the second time, or out of order."""
        if chunk.kind != "token" or chunk.step in self._settled or not self._concerns(chunk):
            return
        if chunk.version > self.version:
            if len(self._ahead) < MOST_AHEAD:  # what is dropped is made up for from the journal
                self._ahead.append(chunk)
            return
        text = self._texts.get(chunk.step)
        if text is None:
            text = self._texts[chunk.step] = self._begin(chunk)
        if chunk.attempt < text.attempt:
            return
        if chunk.attempt > text.attempt:
            text = self._texts[chunk.step] = _Text(chunk.version, chunk.attempt)
            yield self._event("reset", {"step": chunk.step})
        if chunk.seq != text.seq + 1:
            text.whole = text.whole and chunk.seq <= text.seq
            return
        text.seq, text.text = chunk.seq, text.text + chunk.text
        shown = self._shown
        if shown is None or (chunk.version, chunk.attempt, chunk.seq) > (shown.version, shown.attempt, shown.seq):
            yield self._event("token", {"step": chunk.step, "text": chunk.text})

    def _concerns(self, chunk: StreamChunk) -> bool:
        """Of steps that were asked for before the reader's place only the one that it had a part of."""
        return chunk.version >= self._from or (self._shown is not None and self._shown.version == chunk.version)

    def _begin(self, chunk: StreamChunk) -> _Text:
        shown = self._shown
        attempt = shown.attempt if shown is not None and shown.version == chunk.version else chunk.attempt
        return _Text(chunk.version, attempt)

    # --- the journal ------------------------------------------------------------------------------------------------

    def entry(self, version: int, entry: Entry) -> Iterator[RunEvent]:
        """The run's next journal entry."""
        self.version = version
        if isinstance(entry, StepScheduled):
            step = {"step": entry.key, "kind": entry.kind, "name": entry.name, "status": "scheduled"}
            yield self._event("step", {**step, "version": version})
            ahead, self._ahead = self._ahead, []
            for chunk in ahead:
                yield from self.chunk(chunk)
        elif isinstance(entry, StepCompleted):
            yield from self._settle(entry)
            yield self._event("step", {"step": entry.key, "status": "completed", "attempt": entry.attempt})
        elif isinstance(entry, StepFailed):
            if self._forget(entry.key):
                yield self._event("reset", {"step": entry.key})
            yield self._event("step", {"step": entry.key, "status": "failed", "error": entry.error})
        elif isinstance(entry, StepRetried):
            again = {"status": "repeated", "attempt": entry.attempt, "reason": entry.reason}
            yield self._event("step", {"step": entry.key, **again})
        elif isinstance(entry, StepCancelled):
            self._forget(entry.key)
            yield self._event("step", {"step": entry.key, "status": "cancelled"})
        else:
            status = _status(entry)
            if status:
                yield self._event("status", {"run_id": self.run, **status})

    def _settle(self, entry: StepCompleted) -> Iterator[RunEvent]:
        """The answer is recorded: what was shown of it must come to the same."""
        if not _is_model_call(entry.key):
            return
        recorded = str((entry.value or {}).get("text") or "") if isinstance(entry.value, dict) else ""
        text = self._texts.get(entry.key) or _Text(0, 1)
        known = text.whole and (self._shown is None or _place(text) >= _place(self._shown))
        self._forget(entry.key)
        if not known or not recorded.startswith(text.text):
            yield self._event("reset", {"step": entry.key})
            text.text = ""
        if len(recorded) > len(text.text):
            yield self._event("token", {"step": entry.key, "text": recorded[len(text.text) :]})

    def _forget(self, key: str) -> bool:
        """The step has ended; whether the reader may have something of it."""
        if not _is_model_call(key):
            return False
        self._settled.add(key)
        shown, self._shown = self._shown, None
        text = self._texts.pop(key, None)
        return shown is not None or (text is not None and text.seq >= 0)

    def _event(self, type_: Any, data: dict[str, Any]) -> RunEvent:
        open_ = max(self._texts.values(), key=lambda text: text.version, default=None)
        if open_ is None or (self._shown is not None and _place(open_) < _place(self._shown)):
            open_ = self._shown
        place = "" if open_ is None else ":" + ".".join(map(str, _place(open_)))
        return RunEvent(f"{self.version}{place}", type_, data)


def _place(text: _Text) -> tuple[int, int, int]:
    return text.version, text.attempt, text.seq


def _is_model_call(key: str) -> bool:
    return _MODEL_CALL.search(key) is not None


def _status(entry: Entry) -> dict[str, Any] | None:
    if isinstance(entry, RunStarted | RunResumed):
        return {"status": RunStatus.RUNNING}
    if isinstance(entry, RunContinued | RunRestarted):
        return {"status": RunStatus.RUNNING, **_anew(entry)}
    if isinstance(entry, RunParked):
        parked = {"reason": entry.reason, "detail": entry.detail, "next_actions": entry.actions}
        return {"status": RunStatus.PARKED, **parked}
    return _end(entry)


def _anew(entry: RunContinued | RunRestarted) -> dict[str, Any]:
    if isinstance(entry, RunContinued):
        return {"because": "continued", "incarnation": entry.number}
    return {"because": "restarted", "incarnation": entry.number, "delay": entry.delay, "error": entry.error}


def _end(entry: Entry) -> dict[str, Any] | None:
    if isinstance(entry, RunCompleted):
        return {"status": RunStatus.COMPLETED, "output": entry.output}
    if isinstance(entry, RunFailed):
        return {"status": RunStatus.FAILED, "error": entry.error}
    if isinstance(entry, RunCancelled):
        return {"status": RunStatus.CANCELLED, "error": {"type": "Cancelled", "message": entry.reason}}
    return None
