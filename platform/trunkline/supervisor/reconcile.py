"""Wakes what was forgotten: mail that nobody took, and runs that nobody drives. A lost wake costs latency, never
data. And tells those whom nobody told of the end of a run that they are bound to.

The same instance is woken again after ever longer delays (its mail may wait behind a long run, or for an app that is
not deployed), and no subject of INBOX is given more wakes than ``BACKLOG``.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import NoReturn

from trunkline.bus import stored
from trunkline.bus.connection import Bus
from trunkline.domain.ids import FIRST_ID
from trunkline.observe import faults, logs, metrics
from trunkline.settings import Settings
from trunkline.store import bonds, mailbox, reclaim
from trunkline.store.database import Database
from trunkline.supervisor.patience import Patience
from trunkline.supervisor.supervise import rest_until_next
from trunkline.supervisor.wakes import Address, wake

log = logs.get("supervisor")

PAGE = 1000
BACKLOG = 5000
MOST = 20_000  # instances that one look finds waiting, by mail and by runs each; the next goes on from there
QUEUES = ("EVENTS", "INBOX", "WORK", "REPLY")
LONGEST_DELAY = 30.0  # seconds
MEASURE = 5  # looks, in one of which the queues are measured
BONDS = 5000  # of them one look goes through at most; the next goes on from there


class Reconcile:
    """One look every ``reconcile_every`` seconds."""

    def __init__(self, db: Database, bus: Bus, settings: Settings) -> None:
        self._db, self._bus, self._settings = db, bus, settings
        self._patience = Patience(settings.reconcile_every, LONGEST_DELAY)
        self._bonds = bonds.FIRST
        self._after = dict.fromkeys((mailbox.untaken, reclaim.stalled), FIRST_ID)
        self._looks = 0

    async def run(self) -> NoReturn:
        while True:
            await self.look()
            await rest_until_next(self._settings.reconcile_every)

    async def look(self) -> int:
        """Wake all that is found waiting and whose turn it is. Returns how many.

        Raises:
            Unavailable: Postgres or NATS is away.
        """
        if self._looks % MEASURE == 0:
            await self._measure()
        self._looks += 1
        woken, still = await self._settle(), 0
        waiting: Counter[str] | None = None
        async for page in self._forgotten():
            waiting = Counter(await stored.subjects(self._bus, "INBOX")) if waiting is None else waiting
            still += len(page)
            due = [address for address in page if self._is_due(address, waiting)]
            woken += await wake(self._bus, due)
        if set(self._after.values()) == {FIRST_ID}:  # all have been looked at
            self._patience.end_look()
        metrics.still_instances.set(still)
        if woken:
            metrics.reconciled.inc(woken)
            log.info("woken again", instances=woken)
        return woken

    async def _settle(self) -> int:
        """Tell of ends that were committed together with the bond, by somebody who died before the second look."""
        told, self._bonds = await bonds.settle_lost(self._db, self._settings.reconcile_after, BONDS, self._bonds)
        await faults.reach("bonds-settled")
        return await wake(self._bus, told)

    async def _measure(self) -> None:
        """How far whoever reads the streams is behind."""
        for stream in QUEUES:
            readers = await stored.readers(self._bus, stream)
            metrics.queue_messages.labels(stream=stream).set(sum(reader.pending for reader in readers))

    async def _forgotten(self) -> AsyncIterator[list[Address]]:
        for find in self._after:
            for _ in range(MOST // PAGE):
                page = await find(self._db, self._settings.reconcile_after, PAGE, after=self._after[find])
                self._after[find] = page[-1][2] if page else FIRST_ID
                if not page:
                    break
                yield page

    def _is_due(self, address: Address, waiting: Counter[str]) -> bool:
        tenant, agent, instance = address
        subject = self._bus.subjects.inbox(tenant, agent)
        if waiting[subject] >= BACKLOG or not self._patience.due(instance, time.monotonic()):
            return False
        waiting[subject] += 1
        return True
