"""Hears heartbeats, reads the workers' rows, and declares dead whoever was silent on both lines for a lease.

The rule is ``judge``'s. Here are the probes that prove this supervisor's own sight: its heartbeat, which comes back
over the same subscription as everybody's, and the reading of the table itself. The declaration compares the mark that
was seen, so a worker that has beaten since is not declared.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NoReturn

from trunkline.bus.connection import Bus, CoreMessage
from trunkline.domain.codec import dumps
from trunkline.domain.errors import NotAMessage
from trunkline.domain.work import Heartbeat
from trunkline.engine.rhythm import until_next
from trunkline.observe import faults, logs, metrics
from trunkline.settings import Settings
from trunkline.store import workers
from trunkline.store.database import Database
from trunkline.supervisor.judge import Judge
from trunkline.supervisor.presence import Presence
from trunkline.supervisor.supervise import rest

log = logs.get("supervisor")

LOOK_EVERY = 0.2  # leases, when nobody is silent …
AT_REST = 0.3  # … and nobody holds anything: a death costs nobody's work then, and the judge's sight stays unbroken
SOONEST = 0.02  # seconds between two looks when somebody is
MOST_PROBES = 1000


class Roster:
    """``died`` is called once for every worker that is declared dead here."""

    def __init__(
        self, db: Database, bus: Bus, settings: Settings, presence: Presence, died: Callable[[str], None]
    ) -> None:
        self._db, self._bus, self._settings = db, bus, settings
        self._presence, self._died = presence, died
        self._judge = Judge(settings.lease)
        self._probes: dict[int, float] = {}
        self._at_work = -math.inf  # monotonic: when it last showed that somebody holds something

    async def run(self) -> NoReturn:
        self._judge = Judge(self._settings.lease)
        subscription = await self._bus.subscribe(self._bus.subjects.heartbeat(">"), self._hear)
        try:
            while True:
                self._probe()
                await self._look()
                await rest(self._until_next())
        finally:
            await subscription.unsubscribe()

    def _until_next(self) -> float:
        """Seconds: soon enough to be there when somebody has been silent for a lease."""
        now, lease = time.monotonic(), self._settings.lease
        at_work = now - self._at_work < lease
        most = LOOK_EVERY * lease if at_work else until_next(AT_REST * lease, now)
        return min(max(self._judge.due() - now, SOONEST), most)

    def _probe(self) -> None:
        if not self._bus.connected:
            self._judge.nats.lost()
            self._probes.clear()
            return
        beat = self._presence.beat()
        now = time.monotonic()
        self._probes[beat.progress] = now
        if len(self._probes) > MOST_PROBES:  # they do not come back: ours are refused, or the line is deaf
            del self._probes[next(iter(self._probes))]
        self._bus.send(self._bus.subjects.probe(beat.worker), dumps(beat))

    async def _hear(self, message: CoreMessage) -> None:
        try:
            beat = Heartbeat.read(message.data)
        except NotAMessage:
            return  # whoever sent it is silent as far as we know
        now = time.monotonic()
        if beat.worker == self._presence.worker and beat.progress in self._probes:
            self._judge.nats.proven(self._probes[beat.progress], now)
            self._probes = {number: at for number, at in self._probes.items() if number > beat.progress}
        self._judge.heard(beat.worker, now)
        if beat.held:
            self._at_work = now

    async def _look(self) -> None:
        begun = time.monotonic()
        marks = await self._presence.look()
        self._judge.read(marks, begun, time.monotonic())
        if self._presence.held:
            self._at_work = begun
        metrics.workers.set(len(marks))
        for worker in self._judge.dead():
            if await workers.declare_dead(self._db, worker, marks[worker]):
                log.warning("declared dead", worker=worker, lease=self._settings.lease)
                metrics.deaths.inc()
                await faults.reach("worker-declared-dead")
                self._died(worker)
