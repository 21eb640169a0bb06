"""This supervisor's own row on the roster, so that ``trunkline ps`` shows it, and others bury it when it dies.

Its beat, its look at everybody's and the renewal of its leadership are one statement: who leads looks so often that it
need do neither besides, and is not woken for it.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import socket
import time
from contextlib import suppress
from typing import NoReturn

from trunkline.domain.errors import Unavailable
from trunkline.domain.ids import WorkerId, new_worker_id
from trunkline.domain.work import Heartbeat
from trunkline.settings import Settings
from trunkline.store import workers
from trunkline.store.database import Database
from trunkline.store.leaders import Lead
from trunkline.supervisor.lapse import Lapse
from trunkline.supervisor.supervise import rest

QUIET = 0.4  # of a lease: after so long without a look there is one for the beat alone
UNRENEWED = 0.5  # of a lease: then there is time for one more try before leadership ends


class Presence:
    """``worker`` is the id of this process on the roster; a new one after it was declared dead by mistake."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self.worker: WorkerId = new_worker_id()
        self._db, self._settings = db, settings
        self._started_at, self._host = time.time(), socket.gethostname()
        self._quiet, self._unrenewed = Lapse(QUIET * settings.lease), Lapse(UNRENEWED * settings.lease)
        self.lead: Lead | None = None  # that a look renews
        self.renewed_at = -math.inf  # monotonic: when a look began that did
        self.held = 0  # by all that were at work at the last look
        self._joined = False
        self._one = asyncio.Lock()  # whoever looks first joins
        self._numbers = itertools.count(1)
        self.missing: str | None = "not joined"  # what /readyz says of Postgres

    def beat(self) -> Heartbeat:
        """The next heartbeat; ``progress`` numbers them."""
        return Heartbeat(
            worker=self.worker,
            kind="supervisor",
            host=self._host,
            pid=os.getpid(),
            started_at=self._started_at,
            progress=next(self._numbers),
        )

    async def run(self) -> NoReturn:
        try:
            await self._beat_on()
        except Unavailable as error:
            self.missing = str(error)
            raise

    async def _beat_on(self) -> NoReturn:
        while True:
            await self.look()
            await rest(0)
            await self._quiet.wait()

    async def look(self) -> dict[str, float]:
        """Beat, and see when each that is at work has beaten last: seconds since the epoch by Postgres's clock.

        Raises:
            Unreachable: Postgres is away.
        """
        async with self._one:
            if not self._joined:
                await workers.join(self._db, self.beat())
                self._joined = True
            begun, number = time.monotonic(), next(self._numbers)
            found = await workers.beat_and_look(self._db, self.worker, progress=number, lead=self.lead)
            if found.renewed:
                self.renewed_at = begun
                self._unrenewed.renew(begun)
            if self.worker not in found.beats:
                self.worker, self._joined = new_worker_id(), False
            self.missing, self.held = None, found.held
            self._quiet.renew(time.monotonic())
        return found.beats

    async def unrenewed(self) -> None:
        """Wait until the last look that renewed ``lead`` began half a lease ago."""
        await self._unrenewed.wait()

    async def leave(self) -> None:
        """Say goodbye, if Postgres answers within a lease; if not, the row is buried later."""
        self._quiet.stop()
        self._unrenewed.stop()
        with suppress(Unavailable, TimeoutError):
            await asyncio.wait_for(workers.leave(self._db, self.worker), self._settings.lease)
