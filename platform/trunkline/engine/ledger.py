"""A run's open steps and signals, and the commands that tell of them: what its journal will say of the handler."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, cast

from trunkline.domain.ids import child_run_id, derived_id
from trunkline.domain.journal import Entry, SignalReceived, StepCancelled, StepCompleted, StepScheduled
from trunkline.engine.few import Few, Several, joined
from trunkline.engine.signals import Signals
from trunkline.engine.step import OpenStep, Recorded

if TYPE_CHECKING:
    from trunkline.engine.branch import Branch

IDLE = frozenset({"sleep", "wait", "monitor", "agent"})  # steps that nobody carries out: a run may wait outside memory


class Ledger:
    """``busy`` counts the open steps that are not of an ``IDLE`` kind."""

    __slots__ = ("busy", "commands", "now", "open", "run", "signals")

    def __init__(self, run: str, now: float) -> None:
        self.run = run
        self.now = now
        self.open: MutableMapping[str, OpenStep] = Few()
        self.busy = 0
        self.commands: Several[Entry] = ()
        self.signals = Signals()

    def say(self, command: Entry) -> None:
        """The journal is to tell of this."""
        self.commands = joined(self.commands, command)

    def ask(self, step: Recorded[Any], name: str, args: Any, options: dict[str, Any] | None, payload: Any) -> bool:
        """Record that the handler asks for ``step``; true when it is complete at once: an emit, a spawn, or an early
        signal.
        """
        kind, key = step.kind, step.key
        scheduled = StepScheduled(self.run, key, kind, name, args, {} if options is None else options)
        self.say(scheduled)
        if kind == "emit":
            self._complete(step, derived_id("emit", self.run, key), self.now)
            return True
        if kind == "spawn":
            self._complete(step, child_run_id(self.run, key), self.now)
            return True
        if kind == "wait":
            signal = self.signals.take(name)
            if signal is not None:
                self._complete(step, signal.data, signal.at)
                return True
            self.signals.wait(name, step)
        elif kind not in IDLE:
            self.busy += 1
        self.open[key] = OpenStep(scheduled, step, payload)
        return False

    def take(self, key: str) -> Recorded[Any] | None:
        """The handle of an open step, which is open no longer."""
        open_ = self.open.pop(key, None)
        if open_ is None:
            return None
        step, branch = open_.handle, cast("Branch", open_.handle.branch)
        if branch.kin is not None:
            branch.kin.asked.pop(step, None)
        if step.kind == "wait":
            self.signals.forget(open_.scheduled.name, step)
        elif step.kind not in IDLE:
            self.busy -= 1
        return step

    def answer(self, signal: SignalReceived) -> Recorded[Any] | None:
        """Record that ``signal`` completes the oldest wait of its name; without one, keep it."""
        step = self.signals.answer(signal)
        if step is not None:
            self.take(step.key)
            self._complete(step, signal.data, signal.at)
        return step

    def cancel(self, step: Recorded[Any]) -> None:
        """Record that nobody waits for ``step`` any more."""
        self.take(step.key)
        self.say(StepCancelled(self.run, step.key))

    def forget_all(self) -> None:
        """Nothing of this is journalled any more."""
        self.open.clear()
        self.busy = 0
        self.commands = ()

    def _complete(self, step: Recorded[Any], value: Any, at: float) -> None:
        self.say(StepCompleted(self.run, step.key, value, at))
        step.value = value
