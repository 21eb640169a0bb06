"""NATS loses everything while thousands of runs wait, and some hundreds are at work."""

from __future__ import annotations

import asyncio

from chaos.exchange import Exchange, exchange
from chaos.load import orders_come
from trunkline.access.entrance import Entrance
from trunkline.access.letters import request
from trunkline.bus.connection import Bus
from trunkline.domain.mail import Envelope
from trunkline.domain.status import EnvelopeKind

NAMES = ["gateway", "supervisor", "agents.1", "agents.2", "tools.1", "llm.1"]
WAITERS = range(2000)
ORDERS = 200
AT_ONCE = 250


async def test_all_of_them_complete() -> None:
    async with exchange(NAMES) as running:
        bus = await Bus.connect(running.stack.settings(), name="test")
        try:
            entrance = Entrance(running.db, bus)
            starts = [request("default", "waiter", f"{one}", one, f"start {one}", deadline=None) for one in WAITERS]
            await _accept(entrance, starts)
            await running.until(lambda: _are(running, "waiting"), "all of them wait")
            # A permit's answer may be lost with all else, and the item with it.
            async with orders_come(running, at_once=ORDERS, unknown=True) as load:
                running.wipe()
                await _accept(entrance, [_go(one) for one in WAITERS[::2]])  # while nobody can be woken
                await asyncio.to_thread(running.revive, "nats")
                await _accept(entrance, [_go(one) for one in WAITERS[1::2]])
                await load.goes_on()
                await running.until(lambda: _are(running, "completed"), "all of them completed")
        finally:
            await bus.close()
        outputs = await running.ask("select key::int, output from runs where agent = 'waiter'")
        assert {key: int(output) for key, output in outputs} == {one: one + 2 for one in WAITERS}


async def _accept(entrance: Entrance, letters: list[Envelope]) -> None:
    for first in range(0, len(letters), AT_ONCE):
        await entrance.accept(letters[first : first + AT_ONCE])


def _go(one: int) -> Envelope:
    said = {"name": "go", "data": "on"}
    return Envelope("default", "waiter", f"{one}", f"go {one}", EnvelopeKind.SIGNAL, said)


async def _are(running: Exchange, status: str) -> bool:
    return await running.counts("waiter") == {status: len(WAITERS)}
