"""The router gives way: runs that have begun in its worker come before those that could begin.

Both share one event loop. While the worker has as much to take up as it can for a while, the router holds few events in
hand, and rests after each batch many times as long as that took; the others wait on the bus, where they cost nothing,
or go to a router that has time. It never ceases: what is for another agent, or for a run under way, is among them too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

MOST = 2048  # events in a router's hands
FEW = 256  # … while its worker is behind
SHARE = 15  # times that a batch took, for which the router rests then
LONGEST = 1.0  # seconds of rest
LOOK_EVERY = 0.02  # seconds, whether the worker is behind still


class Pace:
    """``behind`` says whether the worker has enough to take up for now; a router without one has all its loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.behind: Callable[[], bool] = lambda: False
        self._clock = clock
        self._room = MOST
        self._ended = asyncio.Event()

    def room(self) -> int:
        """How many events may be in hand, asked after each batch: few at once, and more again step by step."""
        self._room = FEW if self.behind() else min(2 * self._room, MOST)
        return self._room

    async def rest(self, took: float) -> None:
        """After a batch that took so many seconds: wait for as long as that is worth, or until the worker is through
        with what it has. It is not waited for at all while the worker is not behind.
        """
        until = self._clock() + min(SHARE * took, LONGEST)
        while self.behind() and not self._ended.is_set() and self._clock() < until:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await self._ended.wait()

    def end(self) -> None:
        """No more rest: the router is to stop."""
        self._ended.set()
