"""The supervisor process: its connections, its row on the roster, and its duties while it leads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from typing import NoReturn

from trunkline.bus.connection import Bus
from trunkline.domain.errors import Unavailable
from trunkline.observe import logs
from trunkline.observe.health import HealthServer
from trunkline.settings import Settings
from trunkline.store import version
from trunkline.store.database import Database
from trunkline.supervisor.alarms import Alarms
from trunkline.supervisor.deadletters import DeadLetters
from trunkline.supervisor.leadership import Leadership
from trunkline.supervisor.presence import Presence
from trunkline.supervisor.reclaim import Reclaim
from trunkline.supervisor.reconcile import Reconcile
from trunkline.supervisor.replies import Replies
from trunkline.supervisor.retention import Retention
from trunkline.supervisor.roster import Roster
from trunkline.supervisor.schedules import Schedules, on_time
from trunkline.supervisor.supervise import Duty, keep, together

log = logs.get("supervisor")

FOREVER = 10 * 365 * 86400.0  # seconds


async def serve(
    settings: Settings,
    stop: asyncio.Event,
    on_ready: Callable[[], object] | None = None,
    *,
    ahead: Callable[[], float] = on_time,
) -> None:
    """Watch over the exchange until ``stop`` is set. ``on_ready`` is called once the duties can begin. ``ahead`` is by
    how many seconds schedules are told another time than Postgres's.

    Waits for Postgres and NATS at the start, and goes on by itself when they were away.

    Raises:
        SchemaMismatch: the database is not at this version's schema.
        TopologyDrift: a stream is configured differently than this version needs.
    """
    serving = asyncio.create_task(_serve(settings, on_ready, ahead), name="supervisor")
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


async def _serve(settings: Settings, on_ready: Callable[[], object] | None, ahead: Callable[[], float]) -> NoReturn:
    async with AsyncExitStack() as stack:
        db = await Database.of(settings, wait=FOREVER, name="supervisor")
        stack.push_async_callback(db.close)
        await version.check(db, wait=settings.schema_wait)
        bus = await Bus.connect(settings, name="supervisor", wait=FOREVER)
        stack.push_async_callback(bus.close)
        await _declare(bus)
        presence = Presence(db, settings)
        stack.push_async_callback(presence.leave)
        checks = {"nats": lambda: None if bus.connected else "not connected", "postgres": lambda: presence.missing}
        await stack.enter_async_context(HealthServer(settings.metrics_host, settings.metrics_port, checks))
        leadership = Leadership(db, presence.worker, settings.lease, beside=presence)
        if on_ready is not None:
            on_ready()
        duties = _duties(db, bus, settings, presence)
        duties["schedules"] = Schedules(db, bus, settings, ahead).run
        async with asyncio.TaskGroup() as group:
            group.create_task(keep("presence", presence.run))
            group.create_task(leadership.hold(lambda: together(duties)))
    raise AssertionError("duties end only when they are cancelled")


def _duties(db: Database, bus: Bus, settings: Settings, presence: Presence) -> dict[str, Duty]:
    """What the leader does, by name."""
    replies = Replies(db, bus, settings)
    reclaim = Reclaim(db, bus, settings, replies)
    roster = Roster(db, bus, settings, presence, died=lambda _: reclaim.now.set())
    return {
        "roster": roster.run,
        "reclaim": reclaim.run,
        "reconcile": Reconcile(db, bus, settings).run,
        "replies": replies.run,
        "alarms": Alarms(db, bus, settings).run,
        "deadletters": DeadLetters(db, bus, settings).run,
        "retention": Retention(db, settings).run,
    }


async def _declare(bus: Bus) -> None:
    """A server that has just started may take a moment until JetStream answers."""
    while True:
        try:
            return await bus.declare()
        except Unavailable as error:
            log.warning("the streams cannot be declared yet", reason=str(error))
            await asyncio.sleep(1.0)
