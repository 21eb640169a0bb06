"""The life of a tool or LLM worker process: its connections, its membership, what it reads from WORK, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from trunkline.bus.connection import Bus
from trunkline.bus.consume import Consumer, Consumption
from trunkline.domain.errors import Unavailable
from trunkline.observe import logs
from trunkline.settings import Settings
from trunkline_workers.blocking import Blocking
from trunkline_workers.execution import Station
from trunkline_workers.membership import Membership
from trunkline_workers.pipeline import Pipeline
from trunkline_workers.starting import Lines, Stopped, connect, patiently, unless

log = logs.get("workers")


@dataclass(frozen=True, slots=True)
class Bench:
    """A station with the subject that its items come from, and how many of them it holds at once."""

    station: Station
    durable: str
    subject: str
    capacity: int


Furnish = Callable[[Lines], Awaitable[Sequence[Bench]]]


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
    items are being read.

    Raises:
        Unavailable: the supervisor declared this worker dead: start it again.
        SchemaMismatch: the database is not at this version's schema.
        TopologyDrift: a stream is configured differently than this version needs.
    """
    async with AsyncExitStack() as stack:
        with suppress(Stopped):
            hands = await unless(stop, _set_up(kind, app, settings, furnish, stack))
            with suppress(Stopped):  # what came to the first benches by then is drained even so
                await unless(stop, hands.read())
                if on_ready is not None:
                    on_ready()
            await _first(stop, hands.member.dead, hands.blocking.too_long)
            dead = hands.member.dead.is_set()
            await hands.drain()
            if dead:
                raise Unavailable(what="this worker", reason="the supervisor declared it dead")


@dataclass(slots=True)
class _Hands:
    """The parts of one process."""

    settings: Settings
    bus: Bus
    member: Membership
    pipeline: Pipeline
    benches: Sequence[Bench]
    blocking: Blocking
    reading: list[Consumption] = field(default_factory=list)

    async def read(self) -> None:
        """Begin to carry out what comes."""
        for bench in self.benches:
            consumer = Consumer(
                stream="WORK",
                durable=bench.durable,
                subject=bench.subject,
                ack_wait=self.settings.ack_wait,
                max_deliver=self.settings.max_deliver,
            )
            consume = partial(self.bus.consume, consumer, self.pipeline.handler(bench.station), capacity=bench.capacity)
            self.reading.append(await patiently("read", consume))

    async def drain(self) -> None:
        """Take nothing new, and see what runs to its end."""
        self.member.draining = True
        log.info("draining", held=self.member.held)
        await self.let_go(self.settings.drain)

    async def let_go(self, seconds: float) -> None:
        """Take nothing new, give what runs ``seconds`` to finish, and hand back the rest."""
        await asyncio.gather(*(each.stop() for each in self.reading))
        await self.pipeline.drain(seconds)


async def _set_up(
    kind: Literal["tools", "llm"], app: str, settings: Settings, furnish: Furnish, stack: AsyncExitStack
) -> _Hands:
    lines = await connect(kind, settings, stack)
    benches = await furnish(lines)
    for bench in benches:
        stack.push_async_callback(bench.station.close)
    member = Membership(kind, app, settings, lines.bus, lines.db)
    stack.push_async_callback(member.stop)
    await patiently("join", member.start)
    pipeline = Pipeline(settings, lines.bus, lines.db, member)
    await patiently("listen", pipeline.start)
    blocking = Blocking(lines.db, member.worker_id, settings.lease)
    blocking.start()
    stack.callback(blocking.stop)
    hands = _Hands(settings, lines.bus, member, pipeline, benches, blocking)
    stack.push_async_callback(hands.let_go, 0.0)  # one that was cancelled holds more than one that was drained
    return hands


async def _first(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
