"""A run in this worker's memory: its driver, and what the worker must know besides."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from trunkline.domain.journal import Entry, RunStarted, StepCompleted, StepFailed, StepScheduled
from trunkline.domain.mail import Mail
from trunkline.domain.status import RunStatus
from trunkline.engine.replay import RunDriver


@dataclass(slots=True)
class Permit:
    """Which execution may carry out an attempt of a step."""

    attempt: int
    execution: str
    worker: str
    recorded: asyncio.Future[None] | None = None  # done when the permit of an unsafe step is committed


@dataclass(slots=True)
class Usage:
    """What the run's model calls have used so far."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0

    def add(self, usage: dict[str, Any] | None) -> None:
        if usage:
            self.calls += 1
            self.input_tokens += int(usage.get("input_tokens") or 0)
            self.output_tokens += int(usage.get("output_tokens") or 0)
            self.cost_usd += float(usage.get("cost_usd") or 0.0)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Usage:
        total = cls()
        for entry in entries:
            if isinstance(entry, StepCompleted | StepFailed):
                total.add(entry.usage)
        return total

    def body(self) -> dict[str, Any]:
        return {
            "model_calls": self.calls,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": round(self.cost_usd, 9),
        }


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
    """``parked`` is the reason while the run waits for repair; ``held`` is mail that it will take afterwards."""

    started: RunStarted
    driver: RunDriver | None
    status: RunStatus = RunStatus.RUNNING
    parked: str = ""
    held: list[Mail] = field(default_factory=list)
    pending: dict[str, StepScheduled] = field(default_factory=dict)  # steps without an outcome, for their clean-up
    usage: Usage = field(default_factory=Usage)
    last_at: float = 0.0
    late: bool = False  # its deadline has passed, and it was told
    _remote: Remote | None = None

    @property
    def run(self) -> str:
        return self.started.run

    @property
    def remote(self) -> Remote:
        """Made when it is first asked for: a run that sleeps has none."""
        if self._remote is None:
            self._remote = Remote()
        return self._remote

    def settled(self, key: str) -> StepScheduled:
        """Forget an open step, which has its outcome now."""
        if self._remote is not None:
            self._remote.settled(key)
        return self.pending.pop(key)

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
