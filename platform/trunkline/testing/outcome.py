"""What ``testing.run`` hands back: the result, and everything that a journal would hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Generic, TypeVar

from trunkline.domain.errors import RunFailedError
from trunkline.domain.events import CloudEvent
from trunkline.domain.journal import CancelRequested, RunStarted, SignalReceived, StepCompleted, StepFailed
from trunkline.domain.status import RunStatus
from trunkline.testing.journal import Journal, StepTaken

O = TypeVar("O")  # noqa: E741
_TIMED = (RunStarted, SignalReceived, StepCompleted, StepFailed, CancelRequested)  # what moves a run's clock on


@dataclass(slots=True)
class RunOutcome(Generic[O]):
    """``error`` is ``{"type", "message"}`` of a run that failed or was cancelled; ``state`` the instance's after it.

    ``journal`` holds the entries, and claims about them. ``emitted`` are the events, ``children`` the outcomes of asked
    runs, and ``cancelled_run`` the reason with which an ``@agent.on`` handler cancelled the instance's current run.
    ``real`` are the tools that ran without a fake.
    """

    run: str
    agent: str
    key: str
    status: RunStatus = RunStatus.RUNNING
    value: Any = None
    error: dict[str, Any] | None = None
    state: Any = None
    conversation: list[dict[str, Any]] = field(default_factory=list)
    journal: Journal = field(default_factory=Journal)
    emitted: list[CloudEvent] = field(default_factory=list)
    children: list[RunOutcome[Any]] = field(default_factory=list)
    cancelled_run: str | None = None
    real: set[str] = field(default_factory=set)

    @property
    def elapsed(self) -> timedelta:
        """The time that passed for the run, skipped sleeps and timeouts included, to the last thing it was told."""
        times = [entry.at for entry in self.journal if isinstance(entry, _TIMED)]
        return timedelta(seconds=max(times) - min(times))

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
        return self.journal.steps

    def named(self, name: str) -> list[StepTaken]:
        """The steps of one tool, agent, signal, event type or function."""
        return [step for step in self.steps if step.name == name]

    def _hint(self) -> str:
        failed = {step.name for step in self.steps if step.error is not None}
        real = sorted(self.real & failed)
        if not real:
            return ""
        return f" (No fake was given for {', '.join(real)}, so the real function ran: pass tools={{{real[0]!r}: …}}.)"
