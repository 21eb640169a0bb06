"""Due timers become mail, and their instances are woken. Postgres's clock says what is due.

Between two looks it is known when the next timer falls due. Of those that are set meanwhile, and fall due before the
next look, the agent workers send word; one that is lost costs at most the time until that look.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import NoReturn

from trunkline.bus.connection import Bus, CoreMessage
from trunkline.domain.errors import NotAMessage
from trunkline.domain.work import AlarmSet
from trunkline.engine.rhythm import until_next
from trunkline.observe import faults, metrics
from trunkline.settings import Settings
from trunkline.store import timers
from trunkline.store.database import Database
from trunkline.supervisor.supervise import rest, rest_unless
from trunkline.supervisor.wakes import wake

BATCH = 500
TOGETHER = 0.05  # seconds after a look that found some: what falls due meanwhile is fired together


class Alarms:
    """A look whenever a timer is due, and at least every ``alarm_every`` seconds."""

    def __init__(self, db: Database, bus: Bus, settings: Settings) -> None:
        self._db, self._bus, self._settings = db, bus, settings
        self._now = asyncio.Event()
        self._word: asyncio.TimerHandle | None = None
        self._word_at = math.inf  # the loop's time

    async def run(self) -> NoReturn:
        subscription = await self._bus.subscribe(self._bus.subjects.alarm(), self._hear)
        try:
            while True:
                self._now.clear()
                wait = await timers.next_due(self._db)
                if wait == 0:
                    await self.fire()
                    await rest(TOGETHER)
                else:
                    most = until_next(self._settings.alarm_every, time.monotonic())
                    await rest_unless(self._now, min(wait or math.inf, most))
        finally:
            await subscription.unsubscribe()
            self._forget_word()

    async def fire(self) -> None:
        """Fire everything that is due now, a batch at a time."""
        while due := await timers.fire_due(self._db, BATCH):
            metrics.alarms.inc(len(due))
            await faults.reach("timers-fired")
            await wake(self._bus, due)

    async def _hear(self, message: CoreMessage) -> None:
        """Of several timers the first counts: the look that it brings finds the next."""
        try:
            seconds = AlarmSet.read(message.data).seconds
        except NotAMessage:
            return
        loop = asyncio.get_running_loop()
        if loop.time() + seconds < self._word_at:
            self._forget_word()
            self._word_at = loop.time() + seconds
            self._word = loop.call_later(seconds, self._look_now)

    def _look_now(self) -> None:
        self._word_at = math.inf
        self._now.set()

    def _forget_word(self) -> None:
        if self._word is not None:
            self._word.cancel()
