"""What others decide and this worker goes by, kept at hand: who is woken by what, which definitions are current, and
which agents are paused. Read at the start, and again and again until the worker ends.
"""

from __future__ import annotations

import asyncio
import time

from trunkline.domain.errors import Unavailable
from trunkline.engine.rhythm import until_next
from trunkline.observe import logs
from trunkline.store import at_hand
from trunkline.store.database import Database
from trunkline_workers.agent.definitions import Definitions
from trunkline_workers.agent.pauses import Pauses
from trunkline_workers.router.routes import Routes

log = logs.get("workers")

REFRESH = 0.9  # seconds


class AtHand:
    """Between ``start`` and ``stop`` read every ``REFRESH`` seconds; what was known stays while it cannot be read."""

    def __init__(self, db: Database, tenant: str, routes: Routes, definitions: Definitions, pauses: Pauses) -> None:
        self._db, self._tenant = db, tenant
        self._routes, self._definitions, self._pauses = routes, definitions, pauses
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read once, then keep up.

        Raises:
            Unreachable: Postgres is away.
        """
        await self.refresh()
        self._task = asyncio.create_task(self._keep_up(), name="at hand")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def refresh(self) -> None:
        """Read it now. What is wrong with one part keeps none of the others from being taken up.

        Raises:
            Unreachable: Postgres is away; what was known stays.
        """
        begun = time.monotonic()
        found = await at_hand.look(self._db, self._tenant, self._definitions.agents)
        for failed in await asyncio.gather(
            self._routes.take(found.subscriptions, begun),
            self._definitions.take(found.current),
            self._pauses.take(found.paused),
            return_exceptions=True,
        ):
            if failed is not None:
                raise failed

    async def _keep_up(self) -> None:
        while True:
            await asyncio.sleep(until_next(REFRESH, time.monotonic()))
            try:
                await self.refresh()
            except Unavailable:
                continue  # the pool says once that Postgres is away, and when it is back
            except Exception:
                log.exception("what others decided cannot be read; what was known stays")
