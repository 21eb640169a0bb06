"""Which supervisor leads: a row lease in Postgres with an epoch. The others stand by, and take over when it runs out.

A leader counts its time by its own monotonic clock from *before* it asked, so it stops leading before Postgres would
give the lease to another. Two that lead for a moment (one was stopped and does not know yet) do no harm: every duty
compares and sets.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NoReturn, Protocol

from trunkline.domain.errors import Unavailable
from trunkline.observe import logs, metrics
from trunkline.store import leaders
from trunkline.store.database import Database
from trunkline.store.leaders import Lead
from trunkline.supervisor.supervise import rest

log = logs.get("supervisor")

NAME = "supervisor"
LATELY = 0.4  # of the lease: there is time for another look, and for trying here after it


class Renewing(Protocol):
    """Does something else in Postgres again and again, and renews ``lead`` with it; last when ``renewed_at`` began."""

    lead: Lead | None
    renewed_at: float

    async def unrenewed(self) -> None:
        """Wait until that is half a lease ago."""


class Leadership:
    """``owner`` names this process among those that stand for the lease of ``ttl`` seconds. What ``beside`` has renewed
    need not be renewed here.
    """

    def __init__(
        self, db: Database, owner: str, ttl: float, *, name: str = NAME, beside: Renewing | None = None
    ) -> None:
        self._db, self._owner, self._ttl, self._name, self._beside = db, owner, ttl, name, beside
        self._until = 0.0
        self.epoch: int | None = None

    @property
    def leading(self) -> bool:
        return self.epoch is not None and time.monotonic() < self._end

    async def hold(self, lead: Callable[[], Awaitable[None]]) -> NoReturn:
        """Stand by; while this process leads, run ``lead()`` (which is cancelled when the lease is lost)."""
        while True:
            await self._stand_by()
            log.info("leading", epoch=self.epoch)
            metrics.leading.set(1)
            self._have_renewed(Lead(self._name, self._owner, self.epoch or 0, self._ttl))
            task = asyncio.ensure_future(lead())
            try:
                await self._renew_while(task)
            finally:
                metrics.leading.set(0)
                self._have_renewed(None)
                await self._step_down(task)

    async def _stand_by(self) -> None:
        while True:
            asked = time.monotonic()
            with suppress(Unavailable):
                self.epoch = await leaders.acquire(self._db, self._name, self._owner, self._ttl)
                self._until = asked + self._ttl
            if self.leading:
                return
            await rest(self._ttl / 4)

    async def _renew_while(self, task: asyncio.Future[None]) -> None:
        while self.leading and self.epoch is not None and not task.done():
            await self._until_due(task)
            asked = time.monotonic()
            if self._renewed_beside(asked):
                continue
            with suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(max(self._end - asked, 0.0)):
                    if not await leaders.renew(self._db, self._name, self._owner, self.epoch, self._ttl):
                        self.epoch = None
                    self._until = asked + self._ttl
        log.warning("no longer leading")

    def _have_renewed(self, lead: Lead | None) -> None:
        if self._beside is not None:
            self._beside.lead = lead

    @property
    def _end(self) -> float:
        """When the lease ends, by who has renewed it last."""
        return self._until if self._beside is None else max(self._until, self._beside.renewed_at + self._ttl)

    async def _until_due(self, task: asyncio.Future[None]) -> None:
        """Wait until the lease is to be renewed here, or ``task`` has ended."""
        if self._beside is None or not self._renewed_beside(time.monotonic()):
            return await rest(self._ttl / 4)
        await rest(0)
        unrenewed = asyncio.ensure_future(self._beside.unrenewed())
        try:
            await asyncio.wait({task, unrenewed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            unrenewed.cancel()
        return None

    def _renewed_beside(self, now: float) -> bool:
        """Whether that was done lately."""
        return self._beside is not None and now - self._beside.renewed_at < LATELY * self._ttl

    async def _step_down(self, task: asyncio.Future[None]) -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        epoch, self.epoch = self.epoch, None
        if epoch is not None:
            with suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(self._ttl):
                    await leaders.resign(self._db, self._name, self._owner, epoch)
