"""Drives one run's handler by hand, live and on replay alike. No event loop, no clock, no I/O.

The driving rules:

1. Deliveries (``StepCompleted``, ``StepFailed``, ``SignalReceived``, ``CancelRequested``) are applied one at a time, in
   journal order; between two of them the handler runs until every branch waits. An outcome of a step that is not open
   is ignored.
2. What the handler does in between are commands, in the order of its ``ctx`` calls: ``StepScheduled``,
   ``StepCancelled``, the ``StepCompleted`` of a wait that a signal answered, of an emit or a spawn, and the run's end.
   They are journalled right behind the delivery that caused them.
3. On replay each command must be the one that the journal has at that place; else ``Diverged``. Those that the journal
   does not have yet are new.
4. A step's key is fixed when it is asked for: the branch's path, the kind, the name, and the occurrence in the branch
   (``map#1.3/tool:refund#1``); ``key=`` stands for the last two (``tool@mine``).
5. What the handler gets is decoded from the journalled JSON, live too.
6. A signal answers the oldest open wait of its name, or stays in the buffer for the next one.
7. A member that fails ends its group and cancels the others, as a race's winner does. Cancelling a branch closes it,
   and cancels the steps that it had asked for; meanwhile its ``ctx`` calls raise ``ContextClosed``. What is open when
   the run ends is cancelled first. A request to cancel closes all branches but the main one, and is raised there.
8. A handler may be begun anew, as the run's next incarnation: by a driver of its own, whose steps' keys begin with the
   incarnation's number (``@2/tool:refund#1``), and which has the signals that nobody had taken. After a restart it
   sleeps first. Before it has begun only signals and a request to cancel may come.
9. Awaiting what is not of this run raises ``NotDurable`` at that await. A handler that asks for more than 10,000 steps
   between two deliveries, or waits for what cannot come any more, fails.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, KeysView, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from trunkline.domain import errors
from trunkline.domain.errors import TooManySteps, WaitsForItself
from trunkline.domain.incarnation import Incarnation, latest
from trunkline.domain.journal import (
    CancelRequested,
    Entry,
    RunParked,
    RunResumed,
    RunStarted,
    SignalReceived,
    StepCompleted,
    StepFailed,
    StepRetried,
    StepStarted,
)
from trunkline.engine.asking import Asking
from trunkline.engine.branches import LIMIT, Loop
from trunkline.engine.checking import Check
from trunkline.engine.ending import Continuation, RunResult, continued, raised, returned
from trunkline.engine.ledger import Ledger
from trunkline.engine.restart import may_not_repeat
from trunkline.engine.solitude import come_back, leave
from trunkline.engine.step import OpenStep, Recorded, Step

__all__ = ["Continuation", "OpenStep", "RunDriver", "RunResult", "Step"]

T = TypeVar("T")

Body = Callable[["RunDriver"], Coroutine[Any, Any, Any]]


class RunDriver(Asking):
    """One incarnation of a run in memory. ``body`` is called once, with the driver; its coroutine returns a
    ``RunResult``, or a ``Continuation``.

    ``open_steps`` are those without an outcome by key, in the order in which they were asked for.

    ``unsafe`` is the key of a step that has begun, here or in a run that it waited for, and whose effect may not
    repeat. ``final``: the end is not followed by a restart, as somebody asked for it, or as the body (which says so)
    can only fail again.
    """

    __slots__ = ("_body", "_later", "final", "open_steps", "unsafe")

    def __init__(self, started: RunStarted | Incarnation, body: Body, *, agent: str) -> None:
        self.started = started if isinstance(started, RunStarted) else started.started
        self._later = None if isinstance(started, RunStarted) or started.number == 1 else started
        self.agent = agent
        self.ended = self.final = False
        self.unsafe = ""
        self._body: Body | None = body
        self._closed = False
        self._refused = 0
        self._ledger = Ledger(self.started.run, self.started.at)
        self.open_steps: Mapping[str, OpenStep] = self._ledger.open
        self._loop = Loop(agent, self._ledger)
        for signal in self._later.signals if self._later is not None else ():
            self._ledger.answer(signal)  # nobody waits yet: it is kept

    # --- for the worker ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Run the handler until it waits or ends."""
        body, self._body = self._body, None  # it holds the instance's state and conversation
        assert body is not None, "a driver is started once"
        life = self.life
        try:
            self._loop.begin(self._delayed(body) if life.delay else body(self), life.prefix)
        except Exception as error:  # noqa: BLE001 — it is the handler's
            self._end(raised(self.started.run, error))
        else:
            self._go_on()

    def deliver(self, entry: Entry) -> bool:
        """Apply one delivery; or note what became of an attempt or of the run (``StepRetried``, ``RunParked``, …).

        Returns:
            False when it is for a step that is not open, or for a run that has ended: it was ignored.
        """
        if self.ended or self._closed:
            return False
        return self._APPLY[type(entry)](self, entry)

    def take_commands(self) -> list[Entry]:
        """What the handler did since this was last called; to be journalled right behind the delivery."""
        commands, self._ledger.commands = self._ledger.commands, ()
        return commands or []

    @classmethod
    def replay(cls, entries: Sequence[Entry], body: Body, agent: str, life: Incarnation | None = None) -> RunDriver:
        """The driver as it was after ``entries``: all of one run's from ``RunStarted`` on, or those of its incarnation
        ``life`` without the one that began it.

        Raises:
            Diverged: the code does something else than the journal has; the text says what.
        """
        if life is None:
            life, entries = latest(entries)
        driver = cls(life, body, agent=agent)
        for _ in driver.catch_up(entries, share=max(len(entries), 1)):
            pass
        return driver

    def catch_up(self, entries: Sequence[Entry], *, share: int) -> Iterator[None]:
        """Become what it was after ``entries``, those of its life without the one that began it. Between ``share`` of
        them and the next, whoever iterates may see to something else; the driver is of use when all are through.

        Raises:
            Diverged: as ``replay``.
        """
        check = Check(self)
        for first in range(0, len(entries), share):
            if first:
                yield
            check.apply(entries[first : first + share])
        self._ledger.commands = check.new() or ()

    @property
    def life(self) -> Incarnation:
        """What it drives. Of the first incarnation there is nothing to be kept but its beginning."""
        return self._later or Incarnation(self.started)

    @property
    def begun(self) -> bool:
        """Whether the handler was started."""
        return self._loop.main is not None or self.ended or self._closed

    @property
    def waiting(self) -> bool:
        """Whether only sleeps, signals and the ends of other runs are waited for."""
        return not self._ledger.busy and bool(self._ledger.open)

    def payload(self, step_key: str) -> Any:
        """What carries out an open step gets: the payload that it was scheduled with, else its ``args``."""
        step = self._ledger.open[step_key]
        return step.scheduled.args if step.payload is None else step.payload

    @property
    def awaited_signals(self) -> KeysView[str]:
        """The names of the signals that the run waits for."""
        return self._ledger.signals.awaited

    def takes_signal(self, name: str) -> bool:
        """Whether the run waits for a signal of this name, or has room to keep it until it does."""
        return self._ledger.signals.takes(name)

    def leftover_signals(self) -> list[SignalReceived]:
        """The signals that no wait has taken, in the order in which they came."""
        return self._ledger.signals.leftover()

    def close(self) -> None:
        """Leave memory: the handler is closed where it stands, nothing is journalled, later ``ctx`` calls raise."""
        if self.ended or self._closed:
            return
        self._closed = True
        outside = leave()
        try:
            self._loop.close_all()
        finally:
            come_back(outside)
        self._ledger.forget_all()

    def abandon(self) -> None:
        """The run was ended from outside: close the handler."""
        self.close()
        self.ended = True

    # --- deliveries -------------------------------------------------------------------------------------------------

    def _completed(self, entry: StepCompleted) -> bool:
        self._note_unsafe(entry)
        step = self._ledger.take(entry.key)
        if step is None:
            return False
        step.value = entry.value
        return self._settled(step, entry.at)

    def _failed(self, entry: StepFailed) -> bool:
        self._note_unsafe(entry)
        step = self._ledger.take(entry.key)
        if step is None:
            return False
        step.error = entry.error
        return self._settled(step, entry.at)

    def _signal(self, entry: SignalReceived) -> bool:
        step = self._ledger.answer(entry)
        if step is not None:
            return self._settled(step, entry.at)
        self._ledger.now = entry.at
        return True

    def _cancel(self, entry: CancelRequested) -> bool:
        self._ledger.now, self.final = entry.at, True
        self._go_on(cancel=errors.RunCancelled(entry.reason))
        return True

    def _retried(self, entry: StepRetried) -> bool:
        open_ = self._ledger.open.get(entry.key)
        if open_ is not None:
            open_.attempt, open_.started = entry.attempt, None
        return open_ is not None

    def _permitted(self, entry: StepStarted) -> bool:
        open_ = self._ledger.open.get(entry.key)
        if open_ is not None:
            open_.started = entry
            self._note_unsafe(entry)
        return open_ is not None

    def _note_unsafe(self, entry: StepStarted | StepCompleted | StepFailed) -> None:
        open_ = self.open_steps.get(entry.key)
        if open_ is not None and may_not_repeat(open_, entry):
            self.unsafe = entry.key

    def _noted(self, _: RunParked | RunResumed) -> bool:
        return True

    _APPLY: ClassVar[dict[type[Entry], Callable[[RunDriver, Any], bool]]] = {
        StepCompleted: _completed,
        StepFailed: _failed,
        SignalReceived: _signal,
        CancelRequested: _cancel,
        StepRetried: _retried,
        StepStarted: _permitted,
        RunParked: _noted,
        RunResumed: _noted,
    }

    # --- driving ----------------------------------------------------------------------------------------------------

    async def _delayed(self, body: Body) -> Any:
        """The handler, after the restart's delay: a sleep like any other."""
        await self.schedule("sleep", "restart", options={"delay": self.life.delay})
        return await body(self)

    def _settled(self, step: Recorded[Any], at: float) -> bool:
        self._ledger.now = at
        self._loop.settle(step)
        self._go_on()
        return True

    def _go_on(self, cancel: errors.RunCancelled | None = None) -> None:
        loop = self._loop
        if cancel is not None and loop.main is None:
            self._end(raised(self.started.run, cancel))  # it had not begun
            return
        loop.asked = 0
        outside = leave()
        try:
            if cancel is not None:
                loop.close_children()
                loop.throw(cancel)
            loop.run()
            self._look_for_the_end()
        finally:
            come_back(outside)

    def _look_for_the_end(self) -> None:
        run, main = self.started.run, self._loop.main
        if self._loop.overrun:
            self._end(raised(run, TooManySteps(agent=self.agent, limit=LIMIT)))
        elif main is not None and main.done:
            error, main.error = main.error, None  # it holds frames, and they hold this driver
            self._end(self._returned(main.value) if error is None else raised(run, error))
        elif not self._ledger.busy and not self._ledger.open:
            self._end(raised(run, WaitsForItself(agent=self.agent)))

    def _returned(self, value: Any) -> Entry:
        run, life = self.started.run, self.life
        if isinstance(value, Continuation):
            left = self.leftover_signals()
            return continued(run, self.agent, value, at=self.now, number=life.number + 1, signals=left)
        return returned(run, self.agent, value)

    def _end(self, entry: Entry) -> None:
        self._loop.close_all()
        self._loop.cancel([open_.handle for open_ in self._ledger.open.values()])
        self._ledger.say(entry)
        self.ended = True
