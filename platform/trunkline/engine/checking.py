"""Replay: the journal's entries are applied to a fresh driver, and what its handler does is held against them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NoReturn

from trunkline.domain.errors import Diverged
from trunkline.domain.journal import (
    DELIVERIES,
    Entry,
    RunCancelled,
    RunFailed,
    RunParked,
    RunResumed,
    StepRetried,
    StepScheduled,
    StepStarted,
)
from trunkline.engine.difference import difference, same

if TYPE_CHECKING:
    from trunkline.engine.replay import RunDriver

_NOTES = frozenset({StepRetried, StepStarted, RunParked, RunResumed})
_DELIVERIES = frozenset(DELIVERIES)


class Check:
    """``expected`` are the commands that the journal did not have so far, the next one last."""

    def __init__(self, driver: RunDriver) -> None:
        self.driver = driver
        self.expected: list[Entry] = []
        self._parked = False

    def apply(self, entries: Iterable[Entry]) -> list[Entry]:
        """Go through all entries after ``RunStarted``, and return the commands that are new.

        Raises:
            Diverged: the handler does something else; the driver is closed.
        """
        self._await_commands()
        for entry in entries:
            kind = type(entry)
            if kind in _NOTES:
                self._parked = kind is RunParked or (self._parked and kind is not RunResumed)
                self.driver.deliver(entry)
            elif self.expected:
                self._match(entry, self.expected.pop())
            elif kind in _DELIVERIES:
                self.driver.deliver(entry)
                self._await_commands()
            elif self._parked and isinstance(entry, RunCancelled | RunFailed):
                self.driver.abandon()  # a parked run may be ended from outside
            else:
                self._diverge(entry, None)
        return self.expected[::-1]

    def _await_commands(self) -> None:
        self.expected = self.driver.take_commands()[::-1]

    def _match(self, recorded: Entry, now: Entry) -> None:
        if not same(recorded, now):
            self._diverge(recorded, now)
        if isinstance(recorded, StepScheduled):
            open_ = self.driver.open_steps.get(recorded.key)
            if open_ is not None:
                open_.scheduled = recorded  # with the options that it was asked for

    def _diverge(self, recorded: Entry, now: Entry | None) -> NoReturn:
        text = difference(recorded, now, self.driver.open_steps)
        self.driver.close()
        raise Diverged(run=recorded.run, difference=text)
