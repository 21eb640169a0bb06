"""Waiting for something to stay away: as long as it comes again in time, whoever waits for its absence is not woken."""

from __future__ import annotations

import asyncio
import time


class Lapse:
    """Over when ``seconds`` have passed since ``renew``; and before the first."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._over = asyncio.Event()
        self._over.set()
        self._timer: asyncio.TimerHandle | None = None

    def renew(self, since: float) -> None:
        """It came again, at ``since`` (monotonic)."""
        self.stop()
        self._over.clear()
        left = max(since + self._seconds - time.monotonic(), 0.0)
        self._timer = asyncio.get_running_loop().call_later(left, self._over.set)

    def stop(self) -> None:
        """Count no further."""
        if self._timer is not None:
            self._timer.cancel()

    async def wait(self) -> None:
        await self._over.wait()
