"""Looks for what must never be in an instance's journal. It knows the rules, and not the code that should keep them.

Of a journal whose beginning was removed the rest is held to the same rules, as far as it can tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from trunkline.domain.ids import child_run_id, derived_id, instance_id
from trunkline.domain.journal import (
    Entry,
    RunCancelled,
    RunCompleted,
    RunContinued,
    RunFailed,
    RunRestarted,
    RunStarted,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepRetried,
    StepScheduled,
    StepStarted,
)
from trunkline.domain.status import Effect, RunStatus, StepKind

_RUN_ENDS: dict[type[Entry], RunStatus] = {
    RunCompleted: RunStatus.COMPLETED,
    RunFailed: RunStatus.FAILED,
    RunCancelled: RunStatus.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry with its place in the journal, who wrote it, and when (seconds since the epoch, Postgres's clock)."""

    version: int
    epoch: int
    entry: Entry
    writer: int = 0
    at: float = 0.0


@dataclass(slots=True)
class AuditedStep:
    """``attempt`` is the latest that was issued, ``ended_at`` when its outcome was recorded."""

    kind: str
    name: str
    effect: str = ""
    attempt: int = 1
    permitted: set[int] = field(default_factory=set)
    ended_at: float | None = None
    completed: bool = False
    value: Any = None
    asked: str = ""  # the instance that an "agent" or "spawn" step is for


@dataclass(slots=True)
class AuditedRun:
    """What the journal says of one run. ``whole`` is false when its beginning was removed."""

    whole: bool = True
    number: int = 1  # of its incarnation; of a run that is not whole it is not known before the next begins
    status: RunStatus | None = None
    output: Any = None
    steps: dict[str, AuditedStep] = field(default_factory=dict)

    @property
    def open(self) -> list[str]:
        """The steps without an outcome."""
        return [key for key, step in self.steps.items() if step.ended_at is None]


class Audit:
    """``violations`` are sentences, ``runs`` what the runs came to; both grow with every ``read``.

    ``shortened`` are the instances whose journals are no longer whole.
    """

    def __init__(self, tenant: str = "default") -> None:
        self.violations: list[str] = []
        self.runs: dict[str, AuditedRun] = {}
        self.shortened: set[str] = set()
        self._tenant = tenant

    def read(
        self, instance: str, journal: Sequence[Recorded], *, removed: int = 0, covered: int = 0, held: str = ""
    ) -> None:
        """Look through the journal of one instance. Its versions up to ``removed`` are gone; up to ``covered`` a
        snapshot stands for it, and the runs behind that are whole, but for the one that it holds as open (``held``).
        """
        version, epoch, writer = removed, 0, 0
        if removed:
            self.shortened.add(instance)
            if held:
                self.runs.setdefault(held, AuditedRun(whole=False))
        for recorded in journal:
            where = f"instance {instance}, version {recorded.version}"
            if recorded.version != version + 1:
                self.violations.append(f"{where}: the version before is {version}")
            if recorded.epoch < epoch:
                self.violations.append(f"{where}: epoch {recorded.epoch} comes after {epoch}")
            if recorded.epoch == epoch and recorded.writer != writer:
                self.violations.append(f"{where}: epoch {epoch} has a second writer")
            version, epoch, writer = recorded.version, recorded.epoch, recorded.writer
            cut = 0 < removed < recorded.version <= covered
            self.violations += [f"{where}: {wrong}" for wrong in self._entry(recorded, cut=cut)]

    def compare_replies(self) -> None:
        """Every asked run's end must be what its parent was told. Call it when all journals were read."""
        for run_id, run in self.runs.items():
            for key, step in run.steps.items():
                child = self.runs.get(child_run_id(run_id, key))
                if (
                    step.kind != StepKind.AGENT
                    or not step.completed
                    or (child is None and step.asked in self.shortened)
                ):
                    continue
                self.violations += _reply(run_id, key, step, child)

    def spawned(self) -> dict[str, tuple[str, str, str]]:
        """The runs that others spawned, each with the spawning run, the step's key, and the instance that it is of."""
        return {
            child_run_id(run, key): (run, key, step.asked)
            for run, one in self.runs.items()
            for key, step in one.steps.items()
            if step.kind == StepKind.SPAWN
        }

    def steps_by_key(self) -> dict[str, AuditedStep]:
        """All steps by the idempotency key of their effects."""
        return {derived_id("step", run, key): step for run, one in self.runs.items() for key, step in one.steps.items()}

    def _entry(self, recorded: Recorded, *, cut: bool) -> Iterator[str]:
        """``cut``: the beginning of the entry's run may have been removed."""
        entry = recorded.entry
        if isinstance(entry, RunStarted):
            if entry.run in self.runs:
                yield f"run {entry.run} begins a second time"
            self.runs[entry.run] = AuditedRun()
            return
        if cut:
            self.runs.setdefault(entry.run, AuditedRun(whole=False))
        run = self.runs.get(entry.run)
        if run is None:
            yield f"{entry.TYPE} of run {entry.run}, which has not begun"
        elif run.status is not None:
            yield f"{entry.TYPE} after the end of run {entry.run}"
        elif isinstance(entry, RunContinued | RunRestarted):
            yield from _begun_anew(run, entry)
        elif type(entry) in _RUN_ENDS:
            run.status = _RUN_ENDS[type(entry)]
            run.output = entry.output if isinstance(entry, RunCompleted) else None
            if run.open and not isinstance(entry, RunCancelled):
                yield f"run {entry.run} ended with open steps: {', '.join(run.open)}"
        else:
            yield from _step(run, entry, recorded.at, self._tenant)


def _begun_anew(run: AuditedRun, entry: RunContinued | RunRestarted) -> Iterator[str]:
    if entry.number != run.number + 1 and (run.whole or run.number > 1):
        yield f"run {entry.run} goes to incarnation {entry.number} from {run.number}"
    if run.open:
        yield f"run {entry.run} began anew with open steps: {', '.join(run.open)}"
    run.number = entry.number


def _step(run: AuditedRun, entry: Entry, at: float, tenant: str) -> Iterator[str]:
    if isinstance(entry, StepScheduled):
        if entry.key in run.steps:
            yield f"step {entry.key} is scheduled a second time"
        run.steps[entry.key] = _asked(entry, tenant)
    elif isinstance(entry, StepCompleted | StepFailed | StepCancelled | StepRetried | StepStarted):
        step = run.steps.get(entry.key)
        if step is None:
            if run.whole:
                yield f"{entry.TYPE} of step {entry.key}, which was never scheduled"
        elif step.ended_at is not None:
            yield f"{entry.TYPE} of step {entry.key}, which has its outcome"
        else:
            yield from _moved(step, entry, at)


def _asked(entry: StepScheduled, tenant: str) -> AuditedStep:
    step = AuditedStep(entry.kind, entry.name, str(entry.options.get("effect") or ""))
    if entry.kind in (StepKind.AGENT, StepKind.SPAWN):
        step.asked = instance_id(tenant, str(entry.options.get("agent")), str(entry.options.get("key")))
    return step


def _moved(
    step: AuditedStep, entry: StepCompleted | StepFailed | StepCancelled | StepRetried | StepStarted, at: float
) -> Iterator[str]:
    if isinstance(entry, StepRetried):
        if entry.attempt != step.attempt + 1:
            yield f"step {entry.key} goes to attempt {entry.attempt} from {step.attempt}"
        step.attempt = entry.attempt
    elif isinstance(entry, StepStarted):
        if entry.attempt in step.permitted:
            yield f"step {entry.key} gets a second permit for attempt {entry.attempt}"
        step.permitted.add(entry.attempt)
    else:
        step.ended_at = at
        if isinstance(entry, StepCompleted):
            step.completed, step.value = True, entry.value
            if step.effect == Effect.UNSAFE and not step.permitted:
                yield f"step {entry.key} is unsafe, and took effect without a permit"


def _reply(run: str, key: str, step: AuditedStep, child: AuditedRun | None) -> Iterator[str]:
    where = f"run {run}, step {key}"
    if child is None or child.status is not RunStatus.COMPLETED:
        yield f"{where}: it has the answer of a run that {'never began' if child is None else 'did not complete'}"
    elif child.output != step.value:
        yield f"{where}: it was told something else than its child's output"
