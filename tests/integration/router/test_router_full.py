"""Events for an instance that has no room: kept back while others get theirs, taken when there is room, never lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from routing import Exchange, event

from trunkline.settings import Settings
from trunkline_workers.router import holding

TAKE = "update mailbox set taken_at = now() where key = 'flooded' returning seq"
FOR_ONE = ("order.placed", "data.order_id", "")


@pytest.fixture
async def small(settings: Settings) -> AsyncIterator[Exchange]:
    """A router before instances that take two letters."""
    async with AsyncExitStack() as stack:
        yield await Exchange.open(settings.model_copy(update={"max_mailbox": 2, "ack_wait": 1.0}), stack)


def flood(number: int) -> dict[str, Any]:
    return event(number, data={"order_id": "flooded"})


async def test_what_finds_no_room_comes_again_and_nobody_else_waits(small: Exchange, eventually: Any) -> None:
    await small.subscribe("orders", FOR_ONE)
    await small.subscribe("audit", ("order.placed", "id", ""))
    for number in range(4):
        await small.publish(flood(number))
        await eventually(lambda number=number: _has(small, "audit", number + 1))
    await small.publish(event(9))
    await eventually(lambda: _has(small, "orders", 3))  # two, and the one of the neighbour
    assert ("orders", "o9", "", "e9") in await small.mail()
    await small.rows(TAKE)
    await eventually(lambda: _has(small, "orders", 5))
    await eventually(small.settled)
    assert await small.rows("select count(*) from dead_letters") == [(0,)]


async def test_what_finds_no_room_for_too_long_is_a_dead_letter_with_its_reason(
    small: Exchange, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "TRIES", 2)
    await small.subscribe("orders", FOR_ONE)
    for number in range(3):
        await small.publish(flood(number))
        await eventually(lambda number=number: _has(small, "orders", min(number + 1, 2)))
    [(reason, detail)] = await eventually(lambda: small.rows("select reason, detail from dead_letters"))
    assert (reason, "orders/flooded" in detail) == ("mailbox full", True)
    await eventually(small.settled)


async def test_no_more_than_so_many_are_kept_back(
    small: Exchange, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "MOST", 1)
    await small.subscribe("orders", FOR_ONE)
    for number in range(2):
        await small.publish(flood(number))
    await eventually(lambda: _has(small, "orders", 2))
    for number in range(2, 6):
        await small.publish(flood(number))
    await eventually(lambda: _dead(small, 3))


async def _has(exchange: Exchange, agent: str, count: int) -> bool:
    return sum(letter[0] == agent for letter in await exchange.mail()) == count


async def _dead(exchange: Exchange, count: int) -> bool:
    return await exchange.rows("select count(*) from dead_letters") == [(count,)]
