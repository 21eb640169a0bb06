"""Which agents are paused: the rows of Postgres, kept at hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress

from trunkline.domain.errors import Unavailable
from trunkline.store import pauses
from trunkline.store.database import Database

REFRESH = 0.5  # seconds


class Pauses:
    """Read again every ``REFRESH`` seconds between ``start`` and ``stop``. ``resumed`` is called with the name of an
    agent that goes on, and the instances of it that have mail.
    """

    def __init__(self, db: Database, tenant: str) -> None:
        self._db, self._tenant = db, tenant
        self._paused: frozenset[str] = frozenset()
        self._task: asyncio.Task[None] | None = None
        self.resumed: Callable[[str, Collection[str]], None] = lambda _agent, _instances: None

    def __contains__(self, agent: object) -> bool:
        return agent in self._paused

    async def start(self) -> None:
        """Read once, then keep up.

        Raises:
            Unreachable: Postgres is away.
        """
        await self._refresh()
        self._task = asyncio.create_task(self._keep_up(), name="pauses")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _keep_up(self) -> None:
        while True:
            await asyncio.sleep(REFRESH)
            with suppress(Unavailable):  # what was known stays
                await self._refresh()

    async def _refresh(self) -> None:
        now = frozenset(await pauses.paused(self._db, self._tenant))
        waiting = {agent: await pauses.waiting(self._db, self._tenant, agent) for agent in self._paused - now}
        self._paused = now
        for agent, instances in waiting.items():
            self.resumed(agent, instances)
