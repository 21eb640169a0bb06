"""A router whose worker has enough to do leaves events on the bus, where others find them; and none is lost by it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest
from routing import TENANT, Exchange, event

from trunkline.bus.consume import Delivery
from trunkline.settings import Settings
from trunkline_workers.router import pace
from trunkline_workers.router.service import Router

COUNT = 40
FOR_ONE = ("order.placed", "data.order_id", "")


@pytest.fixture
async def resting(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Exchange]:
    """A router with few events in hand, which rests after its first batch until its worker has time."""
    monkeypatch.setattr(pace, "MOST", 8)
    monkeypatch.setattr(pace, "FEW", 2)
    monkeypatch.setattr(pace, "LONGEST", 3600.0)
    monkeypatch.setattr(pace, "SHARE", 1e9)
    async with AsyncExitStack() as stack:
        exchange = await Exchange.open(settings.model_copy(update={"ack_wait": 60.0}), stack)
        exchange.router.pace.behind = lambda: True
        await exchange.subscribe("orders", FOR_ONE)
        await exchange.publish(event(0))
        yield exchange


async def test_what_it_does_not_take_lies_on_the_bus_and_is_taken_when_there_is_time(
    resting: Exchange, eventually: Any
) -> None:
    await eventually(lambda: _has(resting, 1))
    for number in range(1, COUNT):
        await resting.publish(event(number))
    assert await eventually(lambda: _hands_full(resting))
    pending, in_hand = await resting.waiting()
    assert pending + in_hand == COUNT - 1
    assert await _has(resting, 1)
    resting.router.pace.behind = lambda: False
    await eventually(resting.settled)
    assert sorted(letter[3] for letter in await resting.mail()) == sorted(f"e{number}" for number in range(COUNT))
    assert await resting.rows("select count(*) from mailbox") == [(COUNT,)]


async def test_a_router_with_time_takes_what_another_leaves(resting: Exchange, eventually: Any) -> None:
    await eventually(lambda: _has(resting, 1))
    other = Router(resting.db, resting.bus, resting.settings)
    await other.start()
    for number in range(1, COUNT):
        await resting.publish(event(number))
    await eventually(lambda: _only_in_hand(resting))
    assert len(await resting.mail()) >= COUNT - pace.MOST
    async with asyncio.timeout(10):  # it would wait for a batch at hand for a third of ack_wait
        await resting.router.stop()
    await eventually(resting.settled)
    await other.stop()
    assert len(await resting.mail()) == COUNT


async def test_while_its_worker_is_behind_it_takes_few_at_once(
    resting: Exchange, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "SHARE", 0.0)
    router, sizes = resting.router, list[int]()
    route = router._route

    async def noted(batch: Sequence[Delivery], arrived: float) -> None:
        sizes.append(len(batch))
        await route(batch, arrived)

    monkeypatch.setattr(router, "_route", noted)
    router.pace.behind = lambda: False  # which ends its rest
    await eventually(resting.settled)
    router.pace.behind = lambda: True
    for number in range(1, COUNT):
        subject = resting.bus.subjects.event(TENANT, "order.placed")
        resting.bus.publish_soon(subject, json.dumps(event(number)).encode())
    await eventually(lambda: _has(resting, COUNT))
    before = 0  # what it had asked for while there was time comes all the same
    while before < 2 * pace.MOST:
        before += sizes.pop(0)
    assert max(sizes) <= pace.FEW


async def _has(exchange: Exchange, count: int) -> bool:
    return len(await exchange.mail()) == count


async def _hands_full(exchange: Exchange) -> bool:
    """Whether the router has what it asked for while it had time, and no more."""
    pending, in_hand = await exchange.waiting()
    return pending > 0 and 0 < in_hand <= pace.MOST


async def _only_in_hand(exchange: Exchange) -> bool:
    pending, in_hand = await exchange.waiting()
    return pending == 0 and in_hand <= pace.MOST
