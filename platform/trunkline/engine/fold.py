"""What a journal comes to: an instance's state and conversation, and its runs with their open steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
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
    """A run as its entries tell it; ``state`` and ``conversation`` are the instance's as of the run's start."""

    started: RunStarted
    state: Any
    conversation: list[dict[str, Any]]
    entries: list[Entry] = field(default_factory=list)
    status: RunStatus = RunStatus.RUNNING
    parked: str = ""
    open_steps: dict[str, FoldedStep] = field(default_factory=dict)


@dataclass(slots=True)
class InstanceState:
    """The fold of a whole journal, or of the beginning of one."""

    state: Any = None
    conversation: list[dict[str, Any]] = field(default_factory=list)
    runs: dict[str, FoldedRun] = field(default_factory=dict)

    @property
    def open_runs(self) -> list[FoldedRun]:
        """Runs that have not ended, in the order in which they started."""
        return [run for run in self.runs.values() if not run.status.ended]


_ENDS = {RunCompleted: RunStatus.COMPLETED, RunFailed: RunStatus.FAILED, RunCancelled: RunStatus.CANCELLED}


def fold(entries: Iterable[Entry], onto: InstanceState | None = None) -> InstanceState:
    """Fold ``entries`` onto a state (which is changed and returned), or onto the empty one."""
    state = InstanceState() if onto is None else onto
    for entry in entries:
        if isinstance(entry, RunStarted):
            state.runs[entry.run] = FoldedRun(entry, state.state, list(state.conversation))
        run = state.runs.get(entry.run)
        if run is not None:
            run.entries.append(entry)
            _apply(state, run, entry)
    return state


def _apply(state: InstanceState, run: FoldedRun, entry: Entry) -> None:
    if isinstance(entry, StepScheduled | StepCompleted | StepFailed | StepCancelled | StepRetried | StepStarted):
        _apply_step(run, entry)
    elif isinstance(entry, RunParked):
        run.status, run.parked = RunStatus.PARKED, entry.reason
    elif isinstance(entry, RunResumed):
        run.status, run.parked = RunStatus.RUNNING, ""
    elif type(entry) in _ENDS:
        run.status = _ENDS[type(entry)]
        run.open_steps.clear()
        run.entries.clear()  # an ended run is not replayed
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
        run.open_steps[entry.key].attempt = entry.attempt
        run.open_steps[entry.key].started = None
    elif isinstance(entry, StepStarted) and entry.key in run.open_steps:
        run.open_steps[entry.key].started = entry
