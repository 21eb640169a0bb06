"""What a journal comes to: an instance's state and conversation, and its runs with their open steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from trunkline.domain.incarnation import BEGINNINGS, Incarnation
from trunkline.domain.journal import (
    CancelRequested,
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
    StepStarted,
)
from trunkline.domain.snapshot import HeldRun, Snapshot
from trunkline.domain.status import RunStatus
from trunkline.domain.usage import Usage


@dataclass(slots=True)
class FoldedStep:
    """A step without an outcome."""

    scheduled: StepScheduled
    attempt: int = 1
    started: StepStarted | None = None


@dataclass(slots=True)
class FoldedRun:
    """A run as its entries tell it. Of an ended run only ``started`` and ``status`` are kept.

    ``life`` is the handler's latest incarnation; ``state`` is the instance's as it began, ``heard`` how many messages
    its conversation had (which only grows), and ``entries`` are those behind its beginning. ``late`` says that the run
    was told that its deadline has passed.
    """

    started: RunStarted
    life: Incarnation
    state: Any
    heard: int
    entries: list[Entry] = field(default_factory=list)
    status: RunStatus = RunStatus.RUNNING
    parked: str = ""
    open_steps: dict[str, FoldedStep] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    late: bool = False

    def copy(self) -> FoldedRun:
        """A copy that may be folded on."""
        steps = {key: replace(step) for key, step in self.open_steps.items()}
        return replace(self, entries=list(self.entries), open_steps=steps, usage=replace(self.usage))

    def end(self, status: RunStatus) -> None:
        """Forget what only an open run needs."""
        self.status, self.parked = status, ""
        self.state, self.heard, self.entries, self.open_steps = None, 0, [], {}
        self.life, self.usage, self.late = Incarnation(self.started), Usage(), False

    def begin_anew(self, entry: RunContinued | RunRestarted, state: Any, heard: int) -> None:
        """Forget what the handler did before."""
        self.life = self.life.next(entry)
        self.state, self.heard, self.entries, self.open_steps = state, heard, [], {}


@dataclass(slots=True)
class InstanceState:
    """The fold of a whole journal, or of the beginning of one. ``runs`` are in the order in which they started."""

    state: Any = None
    conversation: list[dict[str, Any]] = field(default_factory=list)
    runs: dict[str, FoldedRun] = field(default_factory=dict)

    def heard_by(self, run: FoldedRun) -> Sequence[dict[str, Any]]:
        """The conversation as it was when the run began."""
        return self.conversation[: run.heard] if run.heard else ()

    @property
    def open_runs(self) -> list[FoldedRun]:
        """Runs that have not ended, in the order in which they started."""
        return [run for run in self.runs.values() if not run.status.ended]

    @classmethod
    def of(cls, snapshot: Snapshot) -> InstanceState:
        """What ``snapshot`` holds, to be folded on."""
        state, held = cls(snapshot.state, list(snapshot.conversation)), snapshot.held
        if held is not None:
            run = FoldedRun(held.started, held.life, snapshot.state, len(snapshot.conversation))
            run.usage, run.late = held.usage, held.late
            state.runs[held.started.run] = run
        return state

    def snapshot(self, version: int) -> Snapshot | None:
        """This as a snapshot, if it can be one: without an open run, or with one that just began anew."""
        if not self.open_runs:
            return Snapshot(version, self.state, self.conversation)
        first = self.open_runs[0]
        if len(self.open_runs) > 1 or first.life.number == 1 or first.entries:
            return None
        if first.state != self.state or first.heard != len(self.conversation):
            return None  # an event's handler has ended since
        held = HeldRun(first.started, first.life, first.usage, first.late)
        return Snapshot(version, first.state, self.conversation, held)


_ENDS = {RunCompleted: RunStatus.COMPLETED, RunFailed: RunStatus.FAILED, RunCancelled: RunStatus.CANCELLED}


def fold(entries: Iterable[Entry], onto: InstanceState | None = None) -> InstanceState:
    """What ``entries`` come to after ``onto`` (which stays as it is), or from the beginning.

    ``fold(a + b) == fold(b, fold(a))``.
    """
    state = InstanceState() if onto is None else _copy(onto)
    fold_on(state, entries)
    return state


def fold_on(state: InstanceState, entries: Iterable[Entry]) -> None:
    """The same in ``state`` itself."""
    for entry in entries:
        if isinstance(entry, RunStarted):
            state.runs[entry.run] = FoldedRun(entry, Incarnation(entry), state.state, len(state.conversation))
            continue
        run = state.runs.get(entry.run)
        if run is not None and not run.status.ended:
            run.entries.append(entry)
            _apply(state, run, entry)


def _copy(state: InstanceState) -> InstanceState:
    runs = {id_: run if run.status.ended else run.copy() for id_, run in state.runs.items()}
    return InstanceState(state.state, list(state.conversation), runs)


def _apply(state: InstanceState, run: FoldedRun, entry: Entry) -> None:
    if isinstance(entry, StepScheduled | StepCompleted | StepFailed | StepCancelled | StepRetried | StepStarted):
        _apply_step(run, entry)
    elif isinstance(entry, RunParked):
        run.status, run.parked = RunStatus.PARKED, entry.reason
    elif isinstance(entry, RunResumed):
        run.status, run.parked = RunStatus.RUNNING, ""
    elif isinstance(entry, CancelRequested) and run.started.deadline is not None:
        run.late = run.late or entry.at >= run.started.deadline
    elif type(entry) in _ENDS:
        run.end(_ENDS[type(entry)])
    if isinstance(entry, RunCompleted | RunFailed | RunContinued | RunRestarted):
        state.conversation.extend(entry.conversation)
        if entry.state is not None:
            state.state = entry.state
    if isinstance(entry, BEGINNINGS):
        run.begin_anew(entry, state.state, len(state.conversation))


def _apply_step(run: FoldedRun, entry: Entry) -> None:
    if isinstance(entry, StepCompleted | StepFailed):
        run.usage.add(entry.usage)
    if isinstance(entry, StepScheduled):
        run.open_steps[entry.key] = FoldedStep(entry)
    elif isinstance(entry, StepCompleted | StepFailed | StepCancelled):
        run.open_steps.pop(entry.key, None)
    elif isinstance(entry, StepRetried) and entry.key in run.open_steps:
        step = run.open_steps[entry.key]
        step.attempt, step.started = entry.attempt, None
    elif isinstance(entry, StepStarted) and entry.key in run.open_steps:
        run.open_steps[entry.key].started = entry
