"""The life of a tool or LLM worker process: its connections, its membership, what it reads from WORK, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Literal, TypeVar

from trunkline.bus.connection import Bus
from trunkline.bus.consume import Consumer, Consumption
from trunkline.domain.errors import Unavailable
from trunkline.observe import logs
from trunkline.settings import Settings
from trunkline.store import migrate
from trunkline.store.database import Database
from trunkline_workers.execution import Station
from trunkline_workers.membership import Membership
from trunkline_workers.pipeline import Pipeline

log = logs.get("workers")

T = TypeVar("T")

FOREVER = 10 * 365 * 86400.0  # seconds
RETRY_EVERY = 1.0


@dataclass(frozen=True, slots=True)
class Bench:
    """A station with the subject that its items come from, and how many of them it holds at once."""

    station: Station
    durable: str
    subject: str
    capacity: int


@dataclass(frozen=True, slots=True)
class Lines:
    """A worker's connections."""

    bus: Bus
    db: Database


Furnish = Callable[[Lines], Awaitable[Sequence[Bench]]]


class _Stopped(Exception):
    """``stop`` was set before all was ready."""


async def serve(
    kind: Literal["tools", "llm"],
    app: str,
    settings: Settings,
    stop: asyncio.Event,
    furnish: Furnish,
    *,
    on_ready: Callable[[], object] | None = None,
) -> None:
    """Carry out what comes to the benches of ``furnish`` until ``stop`` is set; then drain for ``settings.drain``.

    Waits for Postgres and NATS at the start, and goes on by itself when they were away. ``on_ready`` is called once
    items are being read. Ends by itself if the supervisor declared this worker dead.

    Raises:
        SchemaMismatch: the database is not at this version's schema.
        TopologyDrift: a stream is configured differently than this version needs.
    """
    async with AsyncExitStack() as stack:

        async def set_up() -> tuple[Membership, Pipeline, list[Consumption]]:
            lines = await _connect(kind, settings, stack)
            benches = await furnish(lines)
            member = Membership(kind, app, settings, lines.bus, lines.db)
            stack.push_async_callback(member.stop)
            await _patiently("join", member.start)
            pipeline = Pipeline(settings, lines.bus, lines.db, member)
            await pipeline.start()
            return member, pipeline, [await _read(bench, pipeline, lines.bus, settings) for bench in benches]

        try:
            member, pipeline, reading = await _unless(stop, set_up())
        except _Stopped:
            return
        if on_ready is not None:
            on_ready()
        await _first(stop, member.dead)
        member.draining = True
        log.info("draining", held=member.held)
        await asyncio.gather(*(each.stop() for each in reading))
        await pipeline.drain(settings.drain)


async def _connect(kind: str, settings: Settings, stack: AsyncExitStack) -> Lines:
    db = await Database.open(
        settings.database_url.get_secret_value(),
        schema=settings.database_schema,
        size=settings.database_pool,
        wait=FOREVER,
    )
    stack.push_async_callback(db.close)
    await migrate.check(db)
    bus = await Bus.connect(settings, name=kind, wait=FOREVER)
    stack.push_async_callback(bus.close)
    await _patiently("declare the streams", bus.declare)
    return Lines(bus, db)


async def _read(bench: Bench, pipeline: Pipeline, bus: Bus, settings: Settings) -> Consumption:
    consumer = Consumer(
        stream="WORK",
        durable=bench.durable,
        subject=bench.subject,
        ack_wait=settings.ack_wait,
        max_deliver=settings.max_deliver,
    )
    handler = pipeline.handler(bench.station)
    return await _patiently("read", lambda: bus.consume(consumer, handler, capacity=bench.capacity))


async def _patiently(what: str, act: Callable[[], Awaitable[T]]) -> T:
    """A server that has just started may take a moment until it answers."""
    while True:
        try:
            return await act()
        except Unavailable as error:
            log.warning("waiting", to=what, why=str(error))
            await asyncio.sleep(RETRY_EVERY)


async def _unless(stop: asyncio.Event, work: Awaitable[T]) -> T:
    """What ``work`` comes to.

    Raises:
        _Stopped: ``stop`` was set first.
    """
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        return working.result()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    raise _Stopped


async def _first(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        each.cancel()
