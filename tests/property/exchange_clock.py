"""An event loop whose time stands still until a test moves it, and which can tell when nothing is left to do.

So that nothing in a run of the exchange depends on how fast the machine is, and hours cost nothing.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

MIDNIGHT = 1_800_000_000.0  # what the workers take for Postgres's time when the loop's is 0


class Clockwork(asyncio.SelectorEventLoop):
    """``now`` is its time in seconds. What waits for a descriptor goes on as ever."""

    def __init__(self) -> None:
        self.now = 1.0
        super().__init__()

    def time(self) -> float:
        return self.now

    @property
    def restless(self) -> bool:
        """Whether anything but the caller can go on without waiting."""
        return bool(self._ready)  # type: ignore[attr-defined]

    def leap(self) -> None:
        """Move to the time of the next timer, if there is one."""
        timers = [timer.when() for timer in self._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        self.now = max(self.now, min(timers, default=self.now))


class Clock:
    """The workers' clock, in place of one that is corrected by Postgres's."""

    def __init__(self, loop: Clockwork) -> None:
        self._loop = loop

    def now(self) -> float:
        return MIDNIGHT + self._loop.now

    real = now

    def told(self, real: float) -> float:
        """What is due by Postgres's clock, which is not this one, is due now."""
        return self.now()

    @staticmethod
    def at(seconds: float) -> datetime:
        return datetime.fromtimestamp(seconds, UTC)
