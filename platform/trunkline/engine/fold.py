"""What a journal comes to: an instance's state and conversation, and its runs with their open steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from trunkline.domain.journal import (
    Entry,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunParked,
    RunResumed,
    RunStarted,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepRetried,
    StepScheduled,
    StepStarted,
)
from trunkline.domain.status import RunStatus


@dataclass(slots=True)
class FoldedStep:
    """A step without an outcome."""

    scheduled: StepScheduled
    attempt: int = 1
    started: StepStarted | None = None


@dataclass(slots=True)
class FoldedRun:
    """A run as its entries tell it. Of an ended run only ``started`` and ``status`` are kept.

    ``state`` and ``conversation`` are the instance's as of the run's start; ``entries`` are what a replay needs.
    """

    started: RunStarted
    state: Any
    conversation: list[dict[str, Any]]
    entries: list[Entry] = field(default_factory=list)
    status: RunStatus = RunStatus.RUNNING
    parked: str = ""
    open_steps: dict[str, FoldedStep] = field(default_factory=dict)

    def copy(self) -> FoldedRun:
        """A copy that may be folded on."""
        steps = {key: replace(step) for key, step in self.open_steps.items()}
        return replace(self, entries=list(self.entries), open_steps=steps)

    def end(self, status: RunStatus) -> None:
        """Forget what only an open run needs."""
        self.status, self.parked = status, ""
        self.state, self.conversation, self.entries, self.open_steps = None, [], [], {}


@dataclass(slots=True)
class InstanceState:
    """The fold of a whole journal, or of the beginning of one. ``runs`` are in the order in which they started."""

    state: Any = None
    conversation: list[dict[str, Any]] = field(default_factory=list)
    runs: dict[str, FoldedRun] = field(default_factory=dict)

    @property
    def open_runs(self) -> list[FoldedRun]:
        """Runs that have not ended, in the order in which they started."""
        return [run for run in self.runs.values() if not run.status.ended]


_ENDS = {RunCompleted: RunStatus.COMPLETED, RunFailed: RunStatus.FAILED, RunCancelled: RunStatus.CANCELLED}


def fold(entries: Iterable[Entry], onto: InstanceState | None = None) -> InstanceState:
    """What ``entries`` come to after ``onto`` (which stays as it is), or from the beginning.

    ``fold(a + b) == fold(b, fold(a))``.
    """
    state = InstanceState() if onto is None else _copy(onto)
    for entry in entries:
        if isinstance(entry, RunStarted):
            state.runs[entry.run] = FoldedRun(entry, state.state, list(state.conversation))
        run = state.runs.get(entry.run)
        if run is not None and not run.status.ended:
            run.entries.append(entry)
            _apply(state, run, entry)
    return state


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
    elif type(entry) in _ENDS:
        run.end(_ENDS[type(entry)])
    if isinstance(entry, RunCompleted):
        state.conversation.extend(entry.conversation)
        if entry.state is not None:
            state.state = entry.state


def _apply_step(run: FoldedRun, entry: Entry) -> None:
    if isinstance(entry, StepScheduled):
        run.open_steps[entry.key] = FoldedStep(entry)
    elif isinstance(entry, StepCompleted | StepFailed | StepCancelled):
        run.open_steps.pop(entry.key, None)
    elif isinstance(entry, StepRetried) and entry.key in run.open_steps:
        step = run.open_steps[entry.key]
        step.attempt, step.started = entry.attempt, None
    elif isinstance(entry, StepStarted) and entry.key in run.open_steps:
        run.open_steps[entry.key].started = entry
