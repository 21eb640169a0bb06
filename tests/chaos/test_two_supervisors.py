"""Two supervisors, of which one leads: it dies, or both are stopped for a while. Every duty is done, and done once."""

from __future__ import annotations

import time

import pytest

from chaos.exchange import Exchange, exchange
from chaos.load import orders_come
from chaos.roster import leading

NAMES = ["gateway", "supervisor.1", "supervisor.2", "agents.1", "agents.2", "tools.1", "llm.1"]
LEASES = 5  # in which the other one must lead: two by the rule, and a busy machine


@pytest.mark.sweep
async def test_the_other_one_leads_when_the_leader_dies() -> None:
    async with exchange(NAMES) as running:
        async with orders_come(running) as load:
            leader = await running.until(lambda: leading(running), "one of them leads")
            await _no_wakes(running, range(5))
            running.kill(leader)
            killed = time.monotonic()
            other = await running.until(lambda: leading(running, other_than=leader), "the other one leads")
            assert time.monotonic() - killed < LEASES * 1.0
            assert other != leader
            await _no_wakes(running, range(5, 10))
            running.start(leader)
            await load.goes_on()
        await running.until(lambda: _dead_letters(running), "what JetStream gave up is kept")
        kept = await running.ask("select reason, count(*), count(distinct detail) from dead_letters group by reason")
        assert kept == [("terminated", 10, 10)]


@pytest.mark.sweep
async def test_duties_wait_while_both_are_stopped() -> None:
    async with exchange(NAMES) as running, orders_come(running) as load:
        for name in ("supervisor.1", "supervisor.2"):
            running.pause(name)
        await running.until(lambda: _overdue(running), "timers are overdue")
        for name in ("supervisor.2", "supervisor.1"):
            running.resume(name)
        await load.goes_on()
        assert await running.ask("select kind from workers where dead_at is not null and kind <> 'supervisor'") == []


async def _no_wakes(running: Exchange, numbers: range) -> None:
    """What is no wake is terminated by whoever reads it, and JetStream tells of it."""
    async with running.nats() as client:
        for number in numbers:
            await client.jetstream().publish("tl.default.inbox.orders", b"no wake %d" % number)


async def _dead_letters(running: Exchange) -> bool:
    return await running.ask("select count(*) from dead_letters") >= [(10,)]


async def _overdue(running: Exchange) -> bool:
    rows = await running.ask("select count(*) from timers where due_at < clock_timestamp() - interval '2 seconds'")
    return rows >= [(10,)]
