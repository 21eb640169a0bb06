"""Looks for what must never be in an instance's journal. It knows the rules, and not the code that should keep them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from trunkline.domain.journal import (
    Entry,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunStarted,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepRetried,
    StepScheduled,
    StepStarted,
)
from trunkline.domain.status import RunStatus

_RUN_ENDS: dict[type[Entry], RunStatus] = {
    RunCompleted: RunStatus.COMPLETED,
    RunFailed: RunStatus.FAILED,
    RunCancelled: RunStatus.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry with its place in the journal."""

    version: int
    epoch: int
    entry: Entry


@dataclass(slots=True)
class AuditedRun:
    """What the journal says of one run. ``open`` are its steps without an outcome, with the attempt that each is at."""

    status: RunStatus | None = None
    steps: set[str] = field(default_factory=set)
    open: dict[str, int] = field(default_factory=dict)
    permitted: set[tuple[str, int]] = field(default_factory=set)


class Audit:
    """``violations`` are sentences, ``runs`` what the runs came to; both grow with every ``read``."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.runs: dict[str, AuditedRun] = {}

    def read(self, instance: str, journal: Sequence[Recorded]) -> None:
        """Look through the whole journal of one instance."""
        version, epoch = 0, 0
        for recorded in journal:
            where = f"instance {instance}, version {recorded.version}"
            if recorded.version != version + 1:
                self.violations.append(f"{where}: the version before is {version}")
            if recorded.epoch < epoch:
                self.violations.append(f"{where}: epoch {recorded.epoch} comes after {epoch}")
            version, epoch = recorded.version, recorded.epoch
            self.violations += [f"{where}: {wrong}" for wrong in self._entry(recorded.entry)]

    def _entry(self, entry: Entry) -> Iterator[str]:
        if isinstance(entry, RunStarted):
            if entry.run in self.runs:
                yield f"run {entry.run} begins a second time"
            self.runs[entry.run] = AuditedRun()
            return
        run = self.runs.get(entry.run)
        if run is None:
            yield f"{entry.TYPE} of run {entry.run}, which has not begun"
        elif run.status is not None:
            yield f"{entry.TYPE} after the end of run {entry.run}"
        elif type(entry) in _RUN_ENDS:
            run.status = _RUN_ENDS[type(entry)]
            if run.open and not isinstance(entry, RunCancelled):
                yield f"run {entry.run} ended with open steps: {', '.join(run.open)}"
        else:
            yield from _step(run, entry)


def _step(run: AuditedRun, entry: Entry) -> Iterator[str]:
    if isinstance(entry, StepScheduled):
        if entry.key in run.steps:
            yield f"step {entry.key} is scheduled a second time"
        run.steps.add(entry.key)
        run.open[entry.key] = 1
    elif isinstance(entry, StepCompleted | StepFailed | StepCancelled):
        if run.open.pop(entry.key, None) is None:
            what = "a second outcome" if entry.key in run.steps else "an outcome without having been scheduled"
            yield f"step {entry.key} has {what}"
    elif isinstance(entry, StepRetried):
        if entry.attempt != run.open.get(entry.key, 0) + 1:
            yield f"step {entry.key} goes to attempt {entry.attempt} from {run.open.get(entry.key)}"
        run.open[entry.key] = entry.attempt
    elif isinstance(entry, StepStarted):
        if entry.key not in run.open or (entry.key, entry.attempt) in run.permitted:
            yield f"step {entry.key} gets a second permit, or one when it is not open"
        run.permitted.add((entry.key, entry.attempt))
