"""Incarnations: a run keeps its id, its asker and its deadline, and its handler may begin more than once.

The first begins with the run. ``ctx.continue_as_new`` begins the next with another input, a restart with the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from trunkline.domain.journal import Entry, RunContinued, RunRestarted, RunStarted, SignalReceived

BEGINNINGS = (RunContinued, RunRestarted)


@dataclass(frozen=True, slots=True)
class Incarnation:
    """``started`` is the run's beginning as this handler sees it: with its own input and time.

    ``delay`` is how many seconds after ``started.at`` the handler begins; ``restarts`` are the times of those that
    count; ``signals`` is what the one before had not taken.
    """

    started: RunStarted
    number: int = 1
    delay: float = 0.0
    restarts: tuple[float, ...] = ()
    signals: tuple[SignalReceived, ...] = ()

    @property
    def prefix(self) -> str:
        """What all step keys begin with, so that each is unique in the run: ``@2/``; empty in the first."""
        return "" if self.number == 1 else f"@{self.number}/"

    def next(self, entry: RunContinued | RunRestarted) -> Incarnation:
        """The one that ``entry`` begins."""
        signals = tuple(SignalReceived(entry.run, **signal) for signal in entry.signals)
        if isinstance(entry, RunRestarted):
            started = replace(self.started, at=entry.at)
            return Incarnation(started, entry.number, entry.delay, tuple(entry.restarts), signals)
        # Its input is the handler's own, also where an event began the run.
        started = replace(self.started, at=entry.at, input=entry.input, message_id=f"continued:{entry.number}")
        return Incarnation(started, entry.number, 0.0, self.restarts, signals)

    def body(self) -> dict[str, Any]:
        """What is not told by the run's ``RunStarted``, as JSON."""
        return {
            "number": self.number,
            "at": self.started.at,
            "input": self.started.input,
            "message_id": self.started.message_id,
            "delay": self.delay,
            "restarts": list(self.restarts),
            "signals": carried(self.signals),
        }

    @classmethod
    def of(cls, started: RunStarted, body: dict[str, Any]) -> Incarnation:
        """What ``body`` said.

        Raises:
            KeyError, TypeError: it has another shape.
        """
        seen = replace(started, at=body["at"], input=body["input"], message_id=body["message_id"])
        signals = tuple(SignalReceived(started.run, **signal) for signal in body["signals"])
        return cls(seen, body["number"], body["delay"], tuple(body["restarts"]), signals)


def latest(entries: Sequence[Entry]) -> tuple[Incarnation, Sequence[Entry]]:
    """The last incarnation in a run's whole journal, and the entries behind its beginning.

    Raises:
        TypeError: it does not begin with ``RunStarted``.
    """
    started = entries[0]
    if not isinstance(started, RunStarted):
        raise TypeError(f"a run's journal begins with RunStarted, not with {started.TYPE}")
    life, place = Incarnation(started), 0
    for at, entry in enumerate(entries):
        if isinstance(entry, BEGINNINGS):
            life, place = life.next(entry), at
    return life, entries[place + 1 :]


def carried(signals: Sequence[SignalReceived]) -> list[dict[str, Any]]:
    """``signals`` as an entry or a snapshot holds them: all of them, as a run keeps few."""
    return [signal.body() for signal in signals]
