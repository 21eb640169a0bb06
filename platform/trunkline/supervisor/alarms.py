"""Due timers become mail, and their instances are woken. Postgres's clock says what is due."""

from __future__ import annotations

from typing import NoReturn

from trunkline.bus.connection import Bus
from trunkline.observe import faults, metrics
from trunkline.settings import Settings
from trunkline.store import timers
from trunkline.store.database import Database
from trunkline.supervisor.supervise import rest
from trunkline.supervisor.wakes import wake

BATCH = 500


class Alarms:
    """One look every ``alarm_every`` seconds."""

    def __init__(self, db: Database, bus: Bus, settings: Settings) -> None:
        self._db, self._bus, self._settings = db, bus, settings

    async def run(self) -> NoReturn:
        while True:
            await self.fire()
            await rest(self._settings.alarm_every)

    async def fire(self) -> None:
        """Fire everything that is due now, a batch at a time."""
        while due := await timers.fire_due(self._db, BATCH):
            metrics.alarms.inc(len(due))
            await faults.reach("timers-fired")
            await wake(self._bus, due)
