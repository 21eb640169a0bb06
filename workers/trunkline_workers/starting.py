"""How a worker process begins: it waits for its servers, says so in one line, and can be stopped while it waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TypeVar

from trunkline.bus.connection import Bus
from trunkline.domain.errors import Unavailable
from trunkline.observe import logs
from trunkline.settings import Settings
from trunkline.store import version
from trunkline.store.database import Database

log = logs.get("workers")

T = TypeVar("T")

FOREVER = 10 * 365 * 86400.0  # seconds
RETRY_EVERY = 1.0


@dataclass(frozen=True, slots=True)
class Lines:
    """A worker's connections."""

    bus: Bus
    db: Database


class Stopped(Exception):
    """``stop`` was set before the work was done."""


async def connect(name: str, settings: Settings, stack: AsyncExitStack) -> Lines:
    """Connect to Postgres and NATS, however long it takes until they are there; ``stack`` closes both.

    Raises:
        SchemaMismatch: the database is not at this version's schema.
        TopologyDrift: a stream is configured differently than this version needs.
    """
    db = await Database.of(settings, wait=FOREVER, name=name)
    stack.push_async_callback(db.close)
    await patiently("look at the schema", lambda: version.check(db, wait=settings.schema_wait))
    bus = await Bus.connect(settings, name=name, wait=FOREVER)
    stack.push_async_callback(bus.close)
    await patiently("declare the streams", bus.declare)
    return Lines(bus, db)


async def patiently(what: str, act: Callable[[], Awaitable[T]]) -> T:
    """What ``act`` comes to. A server that has just started may take a moment until it answers."""
    while True:
        try:
            return await act()
        except Unavailable as error:
            log.warning("waiting", to=what, why=str(error))
            await asyncio.sleep(RETRY_EVERY)


async def unless(stop: asyncio.Event, work: Awaitable[T]) -> T:
    """What ``work`` comes to. It never outlives this call: whoever is cancelled here has cancelled it, too.

    Raises:
        Stopped: ``stop`` was set first; the work was cancelled.
    """
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)
    raise Stopped
