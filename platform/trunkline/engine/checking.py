"""Replay: the journal's entries are applied to a fresh driver, and what its handler does is held against them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NoReturn

from trunkline.domain.errors import Diverged
from trunkline.domain.journal import (
    DELIVERIES,
    CancelRequested,
    Entry,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunParked,
    RunResumed,
    SignalReceived,
    StepRetried,
    StepScheduled,
    StepStarted,
)
from trunkline.engine.difference import difference, same
from trunkline.engine.restart import as_it_ended

if TYPE_CHECKING:
    from trunkline.engine.replay import RunDriver

_NOTES = frozenset({StepRetried, StepStarted, RunParked, RunResumed})
_DELIVERIES = frozenset(DELIVERIES)
_BEFORE_THE_BEGINNING = _NOTES | {SignalReceived, CancelRequested}  # what may come between two incarnations


class Check:
    """``expected`` are the commands that the journal did not have so far, the next one last. Call ``apply`` as often as
    there are parts of the journal, and then ``new``.
    """

    def __init__(self, driver: RunDriver) -> None:
        self.driver = driver
        self.expected: list[Entry] = []
        self._parked = False

    def apply(self, entries: Iterable[Entry]) -> None:
        """Go through entries behind the one that began this incarnation.

        Raises:
            Diverged: the handler does something else; the driver is closed.
        """
        if self.driver.life.number == 1 and not self.driver.begun:
            self._begin()
        for entry in entries:
            kind = type(entry)
            if not self.driver.begun and kind not in _BEFORE_THE_BEGINNING and not self._ended_outside(entry):
                self._begin()
            if kind in _NOTES:
                self._parked = kind is RunParked or (self._parked and kind is not RunResumed)
                self.driver.deliver(entry)
            elif self.expected:
                self._match(entry, self.expected.pop())
            elif kind in _DELIVERIES:
                self.driver.deliver(entry)
                self._await_commands()
            elif self._ended_outside(entry):
                self.driver.abandon()  # a parked run may be ended from outside
            else:
                self._diverge(entry, None)

    def new(self) -> list[Entry]:
        """The commands that the journal does not have yet."""
        if not self.driver.begun:
            self._begin()
        return self.expected[::-1]

    def _begin(self) -> None:
        self.driver.start()
        self._await_commands()

    def _ended_outside(self, entry: Entry) -> bool:
        return self._parked and isinstance(entry, RunCancelled | RunFailed)

    def _await_commands(self) -> None:
        self.expected = self.driver.take_commands()[::-1]

    def _match(self, recorded: Entry, now: Entry) -> None:
        if not same(_own(recorded, now), now):
            self._diverge(recorded, now)
        if isinstance(recorded, StepScheduled):
            open_ = self.driver.open_steps.get(recorded.key)
            if open_ is not None and not _says_no_more(recorded, open_.scheduled):
                open_.scheduled = recorded  # with the options that it was asked for

    def _diverge(self, recorded: Entry, now: Entry | None) -> NoReturn:
        text = difference(recorded, now, self.driver.open_steps)
        self.driver.close()
        raise Diverged(run=recorded.run, difference=text)


def _says_no_more(recorded: StepScheduled, now: StepScheduled) -> bool:
    """Then the step keeps what the code asked for, whose texts all runs share; those just read nobody else has."""
    return recorded.args is None and recorded.options == now.options


def _own(recorded: Entry, now: Entry) -> Entry:
    """What the handler itself came to, where the journal says of its end why it was not begun again."""
    if not isinstance(recorded, RunFailed):
        return recorded
    failure = as_it_ended(recorded)
    return now if failure is None and isinstance(now, RunCompleted) else failure or recorded
