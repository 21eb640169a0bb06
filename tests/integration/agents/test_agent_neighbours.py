"""What an instance may do to those beside it: its calls go out in a window; a blocked worker leaves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from integration.agents.conftest import Exchange, Worker
from integration.agents.hands import Hands, hands
from trunkline.observe import watchdog
from trunkline.observe.driving import Doing
from trunkline.store import leases, workers

__all__ = ["hands"]  # a fixture

WIDE = 8
WINDOW = 3


@pytest.fixture
def narrow(exchange: Exchange) -> Any:
    return exchange.settings.model_copy(update={"max_issued": WINDOW})


async def test_calls_go_out_as_others_end_and_a_neighbours_is_not_behind_them(
    exchange: Exchange, hands: Hands, narrow: Any
) -> None:
    async with Worker(narrow):
        wide = await exchange.request("searcher", "wide", WIDE)
        out = [await hands.item() for _ in range(WINDOW)]
        await exchange.request("searcher", "beside", 1)
        beside = await hands.item()
        assert beside.run != wide, "the neighbour's comes before the rest of the wide run's"
        await hands.answer(beside, "found")
        for number in range(WIDE):
            await hands.answer(out[number], "found")
            if len(out) < WIDE:
                out.append(await hands.item())
            assert hands.items.empty(), "one came for one that ended"
        await exchange.until(wide, "completed")
        assert {item.attempt for item in out} == {1}


async def test_an_instance_whose_row_is_locked_waits_alone(exchange: Exchange) -> None:
    async with Worker(exchange.settings):
        await exchange.until(await exchange.request("tally", "locked", 1), "completed")
    async with Worker(exchange.settings):
        async with exchange.db.connection() as connection, connection.transaction():
            await connection.execute("select from instances where key = 'locked' for update")
            late = await exchange.request("tally", "locked", 1)
            await exchange.until(await exchange.request("tally", "beside", 1), "completed")
            assert await exchange.entries(late) == []
        await exchange.until(late, "completed")


async def test_a_hand_over_sends_out_what_waits(exchange: Exchange, hands: Hands, narrow: Any) -> None:
    async with Worker(narrow.model_copy(update={"drain": 0.2})):
        wide = await exchange.request("searcher", "wide", WIDE)
        out = [await hands.item() for _ in range(WINDOW)]
    out += [await hands.item() for _ in range(WIDE - WINDOW)]
    assert len({item.step for item in out}) == WIDE
    assert {(item.run, item.attempt) for item in out} == {(wide, 1)}


async def test_a_takeover_sends_out_a_window_again(exchange: Exchange, hands: Hands, narrow: Any) -> None:
    worker = Worker(narrow)
    await worker.__aenter__()
    wide = await exchange.request("searcher", "wide", WIDE)
    for _ in range(WINDOW):
        await hands.item()
    [seen] = await workers.list_workers(exchange.db, "default")
    assert await workers.declare_dead(exchange.db, seen.worker, seen.beat_at)
    with pytest.raises(Exception, match="declared it dead"):
        await worker.ended
    await exchange.reclaim(seen.worker)
    async with Worker(narrow):
        await exchange.until_held("searcher", "wide")
        out = [await hands.item() for _ in range(WINDOW)]
        for number in range(WIDE):
            await hands.answer(out[number], "found")
            if len(out) < WIDE:
                out.append(await hands.item())
        await exchange.until(wide, "completed")
        assert {item.attempt for item in out} == {2}


async def test_a_worker_that_was_blocked_too_long_gives_everything_back_and_leaves(exchange: Exchange) -> None:
    async with Worker(exchange.settings) as worker:
        await exchange.request("patient", "held", "word")
        await exchange.until_held("patient", "held")
        listeners = list(watchdog.listeners)
        for listener in listeners:
            listener.ended(Doing("agent", "patient"), exchange.settings.lease / 2)
        await exchange.request("tally", "beside", 1)
        await exchange.until_held("tally", "beside")
        assert not worker.ended.done(), "it was not long"
        for listener in listeners:
            listener.ended(Doing("agent", "patient"), exchange.settings.lease * 2)
        await asyncio.wait_for(asyncio.shield(worker.ended), 20)
        assert await leases.owner_of(exchange.db, exchange.instance("patient", "held")) is None
    assert watchdog.listeners == []
