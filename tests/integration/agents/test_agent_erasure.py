"""An instance is erased under a live worker: it drops it at once, its parent is told, and a fresh one begins."""

from __future__ import annotations

from typing import Any

import pytest

from integration.agents.conftest import Exchange, Worker
from integration.agents.hands import Hands, hands
from trunkline.access.entrance import Entrance
from trunkline.access.following import Following
from trunkline.domain.errors import UnknownInstance
from trunkline.domain.status import EnvelopeKind
from trunkline.store import instances, leases, runs, workers
from trunkline.store.audit import audit

__all__ = ["hands"]  # a fixture

GO = {"name": "go", "data": "on"}


@pytest.fixture
def entrance(exchange: Exchange) -> Entrance:
    return Entrance(exchange.db, exchange.bus)


async def test_its_owner_drops_it_at_once(exchange: Exchange, worker: Worker, entrance: Entrance) -> None:
    run = await exchange.request("patient", "p", "well")
    await exchange.until(run, "waiting")
    await exchange.eventually(lambda: _holds(exchange, 1))
    erased = await entrance.erase("default", "patient", "p")
    assert erased.owner
    assert (await exchange.until(run, "failed")).error == runs.ERASED
    await exchange.eventually(lambda: _holds(exchange, 0))
    fresh = await exchange.request("patient", "p", "again")
    await exchange.until(fresh, "waiting")
    await exchange.post("patient", "p", EnvelopeKind.SIGNAL, GO, run=fresh)
    assert (await exchange.until(fresh, "completed")).output == "again on 2"
    assert (await audit(exchange.db, "default")).violations == []


async def test_nothing_of_it_is_remembered_by_its_owner(
    exchange: Exchange, worker: Worker, entrance: Entrance, eventually: Any
) -> None:
    """Told, it leaves memory; not told (the message was lost), its next commit is refused. Both begin anew."""
    for told in (True, False):
        for number, total in ((5, 5), (6, 11)):
            assert (await exchange.until(await exchange.request("tally", "t", number), "completed")).output == total
        if not told:
            entrance.bus = None
        await entrance.erase("default", "tally", "t")
        with pytest.raises(UnknownInstance):
            await instances.get(exchange.db, "default", "tally", "t")
        assert (await exchange.until(await exchange.request("tally", "t", 1), "completed")).output == 1
        entrance.bus = exchange.bus
        await entrance.erase("default", "tally", "t")
    assert (await audit(exchange.db, "default")).violations == []


async def test_a_parent_is_told(exchange: Exchange, worker: Worker, entrance: Entrance) -> None:
    run = await exchange.request("waiting_parent", "w", "well")
    child = await exchange.eventually(lambda: _of(exchange, "patient"))
    await exchange.until(child.id, "waiting")
    await entrance.erase("default", "patient", child.key)
    ended = await exchange.until(run, "failed")
    assert "erased" in str(ended.error)
    assert (await audit(exchange.db, "default")).violations == []


async def test_children_of_its_own_end_with_it(exchange: Exchange, worker: Worker, entrance: Entrance) -> None:
    run = await exchange.request("waiting_parent", "w", "well")
    child = await exchange.eventually(lambda: _of(exchange, "patient"))
    await exchange.until(child.id, "waiting")
    await entrance.erase("default", "waiting_parent", "w")
    assert "was erased" in str((await exchange.until(child.id, "cancelled")).error)
    assert (await exchange.until(run, "failed")).error == runs.ERASED
    assert (await audit(exchange.db, "default")).violations == []


async def test_an_outcome_that_comes_late_is_nobodys(
    exchange: Exchange, worker: Worker, entrance: Entrance, hands: Hands
) -> None:
    run = await exchange.request("finder", "f", 7)
    item = await hands.item()
    await entrance.erase("default", "finder", "f")
    fresh = await exchange.request("finder", "f", 8)
    again = await hands.item()
    await hands.answer(item, value="the old one's")
    await hands.answer(again, value="the new one's")
    assert (await exchange.until(fresh, "completed")).output == "the new one's"
    assert (await runs.get(exchange.db, "default", run)).error == runs.ERASED
    assert await exchange.entries(run) == []
    assert (await audit(exchange.db, "default")).violations == []


async def test_who_follows_it_is_told(exchange: Exchange, worker: Worker, entrance: Entrance) -> None:
    run = await exchange.request("patient", "p", "well")
    await exchange.until(run, "waiting")
    following = Following(exchange.db, exchange.bus)
    try:
        told = []
        async for event in following.events("default", run):
            told.append(event)
            if len(told) == 2:
                await entrance.erase("default", "patient", "p")
        assert (told[-1].final, "Erased" in str(told[-1].data)) == (True, True)
        assert (await following.ended("default", run, 5)).error == runs.ERASED
    finally:
        following.close()


async def test_the_lease_of_an_erased_instance_is_nobodys(
    exchange: Exchange, worker: Worker, entrance: Entrance
) -> None:
    run = await exchange.request("patient", "p", "well")
    await exchange.until(run, "waiting")
    await entrance.erase("default", "patient", "p")
    assert await leases.owner_of(exchange.db, exchange.instance("patient", "p")) is None


async def _holds(exchange: Exchange, instances: int) -> bool:
    """By what the worker itself says; it would let go of what is idle much later."""
    return [one.held for one in await workers.list_workers(exchange.db)] == [instances]


async def _of(exchange: Exchange, agent: str) -> runs.Run | None:
    found, _ = await runs.list_runs(exchange.db, "default", agent=agent)
    return found[0] if found else None
