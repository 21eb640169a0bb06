"""Events that pour into a worker which has enough to do wait on the bus, until what has begun leaves time for them."""

from __future__ import annotations

import pytest

from integration.agents.conftest import Exchange, Worker
from integration.agents.hands import Hands, hands
from trunkline.bus import stored
from trunkline.bus.events import publish_event
from trunkline.domain.events import CloudEvent
from trunkline_workers.router import pace

__all__ = ["hands"]

COUNT = 30
FULL = {"max_activations": 2, "idle_after": 600.0}


async def test_events_wait_on_the_bus_while_their_worker_has_enough_to_do(
    exchange: Exchange, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "MOST", 8)
    monkeypatch.setattr(pace, "FEW", 2)
    monkeypatch.setattr(pace, "LONGEST", 3600.0)
    monkeypatch.setattr(pace, "SHARE", 1e9)
    async with Worker(exchange.settings.model_copy(update=FULL)):
        finders = [await exchange.request("finder", str(n), n) for n in range(2)]
        items = [await hands.item(), await hands.item()]
        third = await exchange.request("patient", "third", "third")
        for number in range(COUNT):
            event = CloudEvent(id=str(number), source="/test", type="thing.happened", data={"id": f"t{number}"})
            await publish_event(exchange.bus, "default", event)
        await exchange.eventually(lambda: lies_on_the_bus(exchange))
        assert await begun(exchange) <= pace.MOST
        for item in items:
            await hands.answer(item, "done")
        for run in finders:
            await exchange.until(run, "completed")
        await exchange.until(third, "waiting")
        await exchange.eventually(lambda: all_completed(exchange), timeout=30)


async def lies_on_the_bus(exchange: Exchange) -> bool:
    """Whether the router has what it takes, and the rest is left where it was."""
    [router] = await stored.readers(exchange.bus, "EVENTS")
    return router.pending + router.unacknowledged + await begun(exchange) == COUNT and router.pending > 0


async def begun(exchange: Exchange) -> int:
    return await count(exchange, "agent = 'echoing'")


async def all_completed(exchange: Exchange) -> bool:
    return await count(exchange, "agent = 'echoing' and status = 'completed'") == COUNT


async def count(exchange: Exchange, which: str) -> int:
    async with exchange.db.connection() as connection:
        row = await (await connection.execute(f"select count(*) from runs where {which}".encode())).fetchone()
    assert row is not None
    return int(row[0])
