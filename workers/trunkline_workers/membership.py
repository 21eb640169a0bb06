"""A worker's life as others see it: it joins under a fresh id, beats on NATS and in Postgres, and leaves.

A worker that finds itself declared dead (``dead`` is set) must stop: its instances belong to others by now. It does not
come back under the same id; whatever started the process starts it again.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from contextlib import suppress
from typing import Literal

from trunkline.bus.connection import Bus
from trunkline.domain.codec import dumps
from trunkline.domain.ids import WorkerId, new_worker_id
from trunkline.domain.work import Heartbeat
from trunkline.engine.rhythm import until_next
from trunkline.observe import logs, metrics, watchdog
from trunkline.observe.health import HealthServer
from trunkline.settings import Settings
from trunkline.store import workers
from trunkline.store.database import Database, Unreachable

log = logs.get("membership")

AT_REST = 1.5  # heartbeats between two beats of who holds nothing: it has nothing to stall over …
OF_A_LEASE = 0.3  # … and stays heard thrice in a lease, however long a heartbeat is


class Membership:
    """``progress``, ``held`` and ``announces`` are kept up by the worker; they go out with the next beat. When it comes
    to hold something after it held nothing, that is due at once, or a heartbeat after the last one.
    """

    def __init__(
        self, kind: Literal["agents", "tools", "llm", "sensors"], app: str, settings: Settings, bus: Bus, db: Database
    ) -> None:
        self.worker_id: WorkerId = new_worker_id()
        self.progress = 0
        self._held, self._holds = 0, asyncio.Event()
        self._at_rest = max(settings.heartbeat, min(AT_REST * settings.heartbeat, OF_A_LEASE * settings.lease))
        self.announces: workers.Announced = {}
        self.draining = False
        self.dead = asyncio.Event()
        self._kind, self._app, self._settings, self._bus, self._db = kind, app, settings, bus, db
        self._started_at, self._host = time.time(), socket.gethostname()
        self._told: workers.Announced = {}  # what Postgres has of ``announces``
        self._tasks: list[asyncio.Task[None]] = []
        self._beating: asyncio.Task[None] | None = None  # in Postgres
        self._health = HealthServer(
            settings.metrics_host,
            settings.metrics_port,
            {"nats": self._nats_missing, "postgres": self._postgres_missing},
        )
        self._postgres_away = ""

    @property
    def held(self) -> int:
        """What is in this worker's hands: instances, or items."""
        return self._held

    @held.setter
    def held(self, held: int) -> None:
        before, self._held = self._held, held
        if held and not before:
            self._holds.set()
            watchdog.in_hand.hold(self)
        elif before and not held:
            self._holds.clear()
            watchdog.in_hand.let_go(self)

    async def start(self) -> None:
        """Join in Postgres, then beat until ``stop``."""
        self._told = self.announces
        await workers.join(self._db, self._beat(), self._told)
        self._tasks = [asyncio.create_task(self._beat_on())]
        await self._health.start()
        log.info("joined", worker=self.worker_id, kind=self._kind, health=self._health.url)

    async def stop(self) -> None:
        """Stop beating and say goodbye: what this worker held is free at once."""
        watchdog.in_hand.let_go(self)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._health.stop()
        if not self.dead.is_set():
            try:
                await asyncio.wait_for(workers.leave(self._db, self.worker_id), self._settings.lease)
            except (Unreachable, TimeoutError):
                log.warning("left without saying so; the supervisor will notice", worker=self.worker_id)

    def _beat(self) -> Heartbeat:
        return Heartbeat(
            worker=self.worker_id,
            kind=self._kind,
            app=self._app,
            tenant=self._settings.tenant,
            host=self._host,
            pid=os.getpid(),
            started_at=self._started_at,
            progress=self.progress,
            held=self.held,
            draining=self.draining,
        )

    async def _beat_on(self) -> None:
        """Whoever holds something beats on both lines each time; whoever holds nothing in turn, and less often."""
        try:
            while True:
                turn = round(time.monotonic() / self._at_rest) % 2  # the same for everybody on this machine
                if self.held or turn == 0:
                    self._beat_nats()
                if self.held or turn == 1 or not self._bus.connected:
                    self._beat_postgres()
                await self._pause()
        finally:
            if self._beating is not None:
                self._beating.cancel()
                await asyncio.gather(self._beating, return_exceptions=True)

    async def _pause(self) -> None:
        """Wait until the next beat is due."""
        heartbeat, began = self._settings.heartbeat, time.monotonic()
        if not self._held:
            with suppress(TimeoutError):
                async with asyncio.timeout(until_next(self._at_rest, began)):
                    await self._holds.wait()
                await asyncio.sleep(max(began + heartbeat - time.monotonic(), 0))
        else:
            await asyncio.sleep(heartbeat)

    def _beat_nats(self) -> None:
        if self._bus.connected:
            self._bus.send(self._bus.subjects.heartbeat(self.worker_id), dumps(self._beat()))
            metrics.heartbeats.labels(kind=self._kind).inc()

    def _beat_postgres(self) -> None:
        """Unless the last one is still under way: Postgres may be slow, and that holds up no beat on NATS."""
        if not self.dead.is_set() and (self._beating is None or self._beating.done()):
            self._beating = asyncio.create_task(self._beat_once())

    async def _beat_once(self) -> None:
        announces = self.announces
        try:
            alive = await workers.beat(
                self._db,
                self.worker_id,
                progress=self.progress,
                held=self.held,
                draining=self.draining,
                announces=announces if announces != self._told else None,
            )
        except Unreachable as error:
            self._postgres_away = str(error)
        except Exception as error:  # without its beat a worker would never learn that it was declared dead
            if not self._postgres_away:
                log.exception("cannot beat in Postgres", worker=self.worker_id)
            self._postgres_away = str(error) or type(error).__name__
        else:
            self._postgres_away, self._told = "", announces
            if not alive:
                log.error("declared dead by the supervisor; stopping", worker=self.worker_id)
                self.dead.set()

    def _nats_missing(self) -> str | None:
        return None if self._bus.connected else "not connected"

    def _postgres_missing(self) -> str | None:
        return self._postgres_away or None
