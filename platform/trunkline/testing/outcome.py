"""What ``testing.run`` hands back: the result, and everything that a journal would hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from trunkline.domain.errors import RunFailedError
from trunkline.domain.events import CloudEvent
from trunkline.domain.journal import Entry, StepCancelled, StepCompleted, StepFailed, StepRetried, StepScheduled
from trunkline.domain.status import RunStatus

O = TypeVar("O")  # noqa: E741


@dataclass(slots=True)
class StepTaken:
    """One step: what was asked for, and what became of it. All values are JSON; ``kind`` is as in ``StepKind``."""

    key: str
    kind: str
    name: str
    args: Any = None
    value: Any = None
    error: dict[str, Any] | None = None
    attempts: int = 1
    cancelled: bool = False


@dataclass(slots=True)
class RunOutcome(Generic[O]):
    """``error`` is ``{"type", "message"}`` of a run that failed or was cancelled; ``state`` the instance's after it.

    ``emitted`` are the events, ``children`` the outcomes of asked runs, and ``cancelled_run`` the reason with which an
    ``@agent.on`` handler cancelled the instance's current run. ``real`` are the tools that ran without a fake.
    """

    run: str
    agent: str
    key: str
    status: RunStatus = RunStatus.RUNNING
    value: Any = None
    error: dict[str, Any] | None = None
    state: Any = None
    conversation: list[dict[str, Any]] = field(default_factory=list)
    journal: list[Entry] = field(default_factory=list)
    emitted: list[CloudEvent] = field(default_factory=list)
    children: list[RunOutcome[Any]] = field(default_factory=list)
    cancelled_run: str | None = None
    real: set[str] = field(default_factory=set)

    @property
    def output(self) -> O:
        """What the handler returned, decoded.

        Raises:
            RunFailedError: the run did not complete; the message says why.
        """
        if self.status is RunStatus.COMPLETED:
            output: O = self.value
            return output
        error = self.error or {}
        message = str(error.get("message", "")) + self._hint()
        raise RunFailedError(run=self.run, status=self.status, type=error.get("type", "Error"), message=message)

    @property
    def steps(self) -> list[StepTaken]:
        """The steps, in the order in which the handler asked for them."""
        taken: dict[str, StepTaken] = {}
        for entry in self.journal:
            if isinstance(entry, StepScheduled):
                taken[entry.key] = StepTaken(entry.key, entry.kind, entry.name, entry.args)
            elif isinstance(entry, StepCompleted):
                taken[entry.key].value = entry.value
            elif isinstance(entry, StepFailed):
                taken[entry.key].error = entry.error
            elif isinstance(entry, StepRetried):
                taken[entry.key].attempts = entry.attempt
            elif isinstance(entry, StepCancelled):
                taken[entry.key].cancelled = True
        return list(taken.values())

    def named(self, name: str) -> list[StepTaken]:
        """The steps of one tool, agent, signal, event type or function."""
        return [step for step in self.steps if step.name == name]

    def _hint(self) -> str:
        failed = {step.name for step in self.steps if step.error is not None}
        real = sorted(self.real & failed)
        if not real:
            return ""
        return f" (No fake was given for {', '.join(real)}, so the real function ran: pass tools={{{real[0]!r}: …}}.)"
