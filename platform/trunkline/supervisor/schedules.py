"""Schedules that are due start runs. The commit that accepts a run moves its schedule on.

Between two looks it is known when the next one is due; what is declared meanwhile the next look finds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NoReturn

from trunkline.bus.connection import Bus
from trunkline.engine.rhythm import until_next
from trunkline.observe import metrics
from trunkline.settings import Settings
from trunkline.store import schedules
from trunkline.store.database import Database
from trunkline.supervisor.supervise import rest
from trunkline.supervisor.wakes import wake

BATCH = 100
TOGETHER = 0.05  # seconds after a look that found some: what is due meanwhile is fired together


def on_time() -> float:
    return 0.0


class Schedules:
    """A look whenever one is due, and at least every ``alarm_every`` seconds. ``ahead`` is by how many seconds
    schedules are told another time than Postgres's; only tests set it.
    """

    def __init__(self, db: Database, bus: Bus, settings: Settings, ahead: Callable[[], float] = on_time) -> None:
        self._db, self._bus, self._settings, self._ahead = db, bus, settings, ahead

    async def run(self) -> NoReturn:
        while True:
            wait = await schedules.next_due(self._db, ahead=self._ahead())
            if wait == 0:
                await self.fire()
            most = until_next(self._settings.alarm_every, time.monotonic())
            await rest(TOGETHER if wait == 0 else min(wait or math.inf, most))

    async def fire(self) -> None:
        """Fire everything that is due now, a batch at a time."""
        due = BATCH
        while due == BATCH:
            due, woken = await schedules.fire_due(self._db, BATCH, ahead=self._ahead())
            metrics.scheduled.inc(len(woken))
            await wake(self._bus, woken)
