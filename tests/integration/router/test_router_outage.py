"""Postgres or NATS dies in the middle of a stream of events: none is lost, none is taken twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from routing import TENANT, Exchange, event

from trunkline.domain.errors import Unavailable
from trunkline.embedded.stack import Stack
from trunkline.store import migrate

COUNT = 400


@pytest.fixture
def own_stack() -> Iterator[Stack]:
    """Servers of this test's own, to be killed."""
    with Stack() as stack:
        yield stack


@pytest.fixture
async def own(own_stack: Stack) -> AsyncIterator[Exchange]:
    migrate.upgrade(own_stack.postgres.url)
    async with AsyncExitStack() as stack:
        yield await Exchange.open(own_stack.settings(ack_wait=1.0), stack)


async def publish_all(exchange: Exchange, halfway: asyncio.Event) -> None:
    subject = exchange.bus.subjects.event(TENANT, "order.placed")
    for number in range(COUNT):
        if number == COUNT // 2:
            halfway.set()
        await exchange.bus.publish(subject, json.dumps(event(number)).encode())


async def none_is_lost(exchange: Exchange, break_and_mend: Callable[[], None], eventually: Any) -> None:
    await exchange.subscribe("orders", ("order.placed", "data.order_id", ""))
    halfway = asyncio.Event()
    publishing = asyncio.create_task(publish_all(exchange, halfway))
    await asyncio.wait_for(halfway.wait(), 60)
    await asyncio.to_thread(break_and_mend)
    await asyncio.wait_for(publishing, 60)
    await eventually(lambda: _all_taken(exchange), timeout=60)
    letters = await exchange.mail()
    assert sorted(letter[1] for letter in letters) == sorted(f"o{number}" for number in range(COUNT))
    assert await exchange.dead_letters() == []


async def test_postgres_is_killed_and_comes_back(own: Exchange, own_stack: Stack, eventually: Any) -> None:
    def break_and_mend() -> None:
        own_stack.postgres.kill()
        own_stack.postgres.start()

    await none_is_lost(own, break_and_mend, eventually)


async def test_nats_is_killed_and_comes_back(own: Exchange, own_stack: Stack, eventually: Any) -> None:
    def break_and_mend() -> None:
        own_stack.nats.kill()
        own_stack.nats.start()

    await none_is_lost(own, break_and_mend, eventually)


async def test_events_wait_while_postgres_is_away_from_the_start(
    own: Exchange, own_stack: Stack, eventually: Any
) -> None:
    await own.subscribe("orders", ("order.placed", "data.order_id", ""))
    await asyncio.to_thread(own_stack.postgres.kill)
    for number in range(50):
        await own.publish(event(number))
    await asyncio.to_thread(own_stack.postgres.start)
    await eventually(lambda: _all_taken(own), timeout=60)
    assert len(await own.mail()) == 50


async def _all_taken(exchange: Exchange) -> bool:
    try:
        return await exchange.settled() and bool(await exchange.mail())
    except Unavailable:
        return False
