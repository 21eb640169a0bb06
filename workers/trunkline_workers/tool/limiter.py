"""A tool's rate: executions are spread evenly, and a pause is not saved up beyond a tenth of a second's worth."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

SLACK = 0.1  # seconds' worth of executions that may begin at once


class Rate:
    """Entered once for every execution; lets ``per_second`` in. One that is cancelled while it waits loses its turn."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1.0 / per_second
        self._clock = clock
        self._next = clock()

    def reserve(self) -> float:
        """Take the next turn: the seconds until it comes."""
        now = self._clock()
        self._next = max(self._next, now - SLACK)
        delay = self._next - now
        self._next += self._interval
        return max(0.0, delay)

    async def __aenter__(self) -> None:
        delay = self.reserve()
        if delay > 0:
            await asyncio.sleep(delay)

    async def __aexit__(self, *_: object) -> None:
        return None
