"""What Postgres says, kept at hand: read at the start, and again and again until the worker ends."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

from trunkline.domain.errors import Unavailable
from trunkline.observe import logs

log = logs.get("workers")

REFRESH = 1.0  # seconds


class Kept(ABC):
    """Between ``start`` and ``stop`` read every ``REFRESH`` seconds; what was known stays while it cannot be read."""

    _task: asyncio.Task[None] | None = None

    @abstractmethod
    async def refresh(self) -> None:
        """Read it now.

        Raises:
            Unreachable: Postgres is away; what was known stays.
        """

    async def start(self) -> None:
        """Read once, then keep up.

        Raises:
            Unreachable: Postgres is away.
        """
        await self.refresh()
        self.keep_up()

    def keep_up(self) -> None:
        """Begin to read again and again."""
        self._task = asyncio.create_task(self._keep_up(), name=type(self).__name__.lower())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _keep_up(self) -> None:
        while True:
            await asyncio.sleep(REFRESH)
            try:
                await self.refresh()
            except Unavailable:
                continue  # the pool says once that Postgres is away, and when it is back
            except Exception:
                log.exception("cannot be read; what was known stays", what=type(self).__name__)
