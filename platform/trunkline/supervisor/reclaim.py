"""Frees the instances of workers that died or left without giving them back, and wakes them.

The epoch grows with it, so whatever the old owner still sends is refused. A worker's outcomes that lie unread on its
reply subject are committed first: a step whose outcome is known is not carried out again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import NoReturn

from trunkline.bus.connection import Bus
from trunkline.domain.errors import Unavailable
from trunkline.engine.rhythm import until_next
from trunkline.observe import faults, logs, metrics
from trunkline.settings import Settings
from trunkline.store import reclaim, workers
from trunkline.store.database import Database
from trunkline.store.workers import Worker
from trunkline.supervisor.replies import Replies
from trunkline.supervisor.supervise import rest_unless
from trunkline.supervisor.wakes import wake

log = logs.get("supervisor")

BATCH = 500


class Reclaim:
    """Looks every ``reconcile_every`` seconds; ``now`` makes it look at once (somebody was just declared dead)."""

    def __init__(self, db: Database, bus: Bus, settings: Settings, replies: Replies) -> None:
        self._db, self._bus, self._settings, self._replies = db, bus, settings, replies
        self._done: set[str] = set()  # departed workers that hold nothing; they cannot take anything again
        self.now = asyncio.Event()

    async def run(self) -> NoReturn:
        while True:
            self.now.clear()
            await self.look()
            await rest_unless(self.now, until_next(self._settings.reconcile_every, time.monotonic()))

    async def look(self) -> None:
        """Free what departed workers hold, whoever they are.

        Raises:
            Unreachable: Postgres is away.
        """
        departed = await workers.departed(self._db)
        for worker in departed:
            if worker.worker not in self._done:
                await self._free(worker)
        self._done = {worker.worker for worker in departed}

    async def _free(self, worker: Worker) -> None:
        if worker.kind == "agents":
            await self._read_replies(worker)
        freed, settings = 0, self._settings
        free = partial(
            reclaim.reclaim, self._db, worker.worker, BATCH, shun=settings.blocked_after, takeovers=settings.takeovers
        )
        while batch := await free():
            freed += len(batch)
            _tell_of_blocks(batch)
            await faults.reach("instances-reclaimed")
            await wake(self._bus, ((tenant, agent, instance) for tenant, agent, instance, *_ in batch))
        if freed:
            metrics.reclaimed.inc(freed)
            log.info("reclaimed", worker=worker.worker, instances=freed)

    async def _read_replies(self, worker: Worker) -> None:
        """Worth a moment, but not the wait: what is not read now is read later."""
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(self._settings.lease):
                await self._replies.drain(worker.tenant, worker.worker)


def _tell_of_blocks(freed: Iterable[tuple[str, str, str, bool, int]]) -> None:
    for _, agent, instance, blocks, _ in freed:
        if blocks:
            metrics.blocking.labels(agent=agent).inc()
            log.warning("its code blocked a worker; it is set aside for a while", agent=agent, instance=instance)
