"""A run in this worker's memory: its driver, and what the worker must know besides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from trunkline.domain.journal import RunStarted, StepScheduled
from trunkline.domain.status import RunStatus
from trunkline.domain.usage import Usage
from trunkline.engine.few import Few, Several
from trunkline.engine.replay import RunDriver
from trunkline_workers.agent.tray import Backlog, Waiting
from trunkline_workers.agent.turn import Turn


@dataclass(slots=True)
class Permit:
    """Which execution may carry out an attempt of a step."""

    attempt: int
    execution: str
    worker: str
    recorded: asyncio.Future[None] | None = None  # done when the permit of an unsafe step is committed


class Remote:
    """What is known of a run's steps that others carry out, by their keys."""

    __slots__ = ("doubts", "issued", "overdue", "permits", "probes", "versions")

    def __init__(self) -> None:
        self.versions: dict[str, int] = {}  # of the StepScheduled of open tool and model steps
        self.issued: dict[str, float] = {}  # loop times at which open remote steps were first issued
        self.overdue: dict[str, float] = {}  # loop times at which open steps are looked after
        self.permits: dict[str, Permit] = {}
        self.doubts: dict[str, str] = {}  # why it is not known what became of an unsafe step
        self.probes: dict[str, int] = {}  # how often that was asked of its tool's probe

    def __bool__(self) -> bool:
        """Whether anything is known."""
        known = self.versions or self.issued or self.overdue or self.permits or self.doubts or self.probes
        return bool(known)

    def settled(self, key: str) -> None:
        self.versions.pop(key, None)
        self.issued.pop(key, None)
        self.forget_attempt(key)

    def forget_attempt(self, key: str) -> None:
        self.overdue.pop(key, None)
        self.permits.pop(key, None)
        self.doubts.pop(key, None)
        self.probes.pop(key, None)


@dataclass(slots=True)
class Live:
    """``parked`` is the reason while the run waits for repair; ``held`` is mail that it will take afterwards, and
    ``put_off`` what is to be done in the turn that frees it.

    ``started`` is the run's own beginning.
    """

    started: RunStarted
    driver: RunDriver | None
    status: RunStatus = RunStatus.RUNNING
    parked: str = ""
    held: Waiting = ()
    put_off: Several[Callable[[Turn], None]] = ()
    pending: Few[str, StepScheduled] = field(default_factory=Few)  # steps without an outcome, for their clean-up
    usage: Usage | None = None  # of model calls, if there were any
    last_at: float = 0.0
    late: bool = False  # its deadline has passed, and it was told
    backlog: Backlog | None = None  # signals that it has no room for
    run: str = field(init=False)
    _remote: Remote | None = None

    def __post_init__(self) -> None:
        self.run = self.started.run

    @property
    def remote(self) -> Remote:
        """Made when it is first asked for, and let go with the last step: a run that sleeps has none."""
        if self._remote is None:
            self._remote = Remote()
        return self._remote

    @property
    def calls(self) -> bool:
        """Whether steps of it are with others."""
        return self._remote is not None

    def issued_at(self, key: str) -> float | None:
        """The loop's time at which an open step first went out to others, if it did."""
        return None if self._remote is None else self._remote.issued.get(key)

    def settled(self, key: str) -> StepScheduled:
        """Forget an open step, which has its outcome now."""
        if self._remote is not None:
            self._remote.settled(key)
            self._remote = self._remote or None
        step: StepScheduled = self.pending.pop(key)
        return step

    def spend(self, usage: dict[str, Any]) -> None:
        """Count a model call."""
        if self.usage is None:
            self.usage = Usage()
        self.usage.add(usage)

    def forget_attempt(self, key: str) -> None:
        """Forget what is known of an open step's latest attempt: it is over, and the next is looked after from its own
        issue on.
        """
        if self._remote is not None:
            self._remote.forget_attempt(key)

    @property
    def main(self) -> bool:
        """Whether this is the instance's one run; handlers of ``@agent.on`` run beside it."""
        return not self.started.handler
