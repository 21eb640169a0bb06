"""The way of each of these tests: 200 orders are under way, something is killed, and in the end nothing is wrong."""

from __future__ import annotations

import asyncio
from collections import Counter

from chaos.chaos_app import expected
from chaos.exchange import Exchange, exchange, nothing_is_wrong

ORDERS = range(1, 201)
GO = [(f"/v1/agents/orders/instances/{number}/signals/go", "on", f"go {number}") for number in ORDERS]
STARTS = [(f"/v1/agents/orders/instances/{number}/runs", {"input": {"number": number}}, f"start {number}")
          for number in ORDERS]  # fmt: skip


async def a_worker_is_killed(kind: str) -> None:
    """One of two workers of this kind dies with work in its hands, and does not come back."""
    others = {"agents": ["agents.1"], "tools": ["tools.1"], "llm": ["llm.1"]} | {kind: [f"{kind}.1", f"{kind}.2"]}
    names = ["gateway", "supervisor", *(name for listed in others.values() for name in listed)]
    async with exchange(names) as running:
        await _through(running, lambda: _kill_the_busiest(running, kind), by_http=False)


async def nats_is_wiped() -> None:
    """NATS dies and forgets everything. What was accepted is in Postgres."""
    async with exchange(["gateway", "supervisor", "agents.1", "agents.2", "tools.1", "llm.1"]) as running:

        async def wipe() -> bool:
            running.wipe()
            await asyncio.to_thread(running.revive, "nats")
            return True

        await _through(running, wipe, by_http=True)


async def a_part_is_killed(name: str, *, by_http: bool = False) -> None:
    """Something that there is one of dies, and comes back."""
    async with exchange(["gateway", "supervisor", "agents.1", "agents.2", "tools.1", "llm.1"]) as running:

        async def kill() -> bool:
            running.kill(name)
            await asyncio.to_thread(running.revive, name)
            return True

        await _through(running, kill, by_http=by_http)


async def _through(running: Exchange, kill: object, *, by_http: bool) -> None:
    starting = asyncio.create_task(running.post(STARTS) if by_http else running.publish(ORDERS))
    signalling = asyncio.create_task(running.post(GO))
    try:
        await running.until(lambda: _completed(running, 20), "20 orders are done")
        await running.until(kill, "something is killed with work in its hands")
        at_the_kill = await running.until(running.counts, "Postgres answers")
        assert 20 <= at_the_kill["completed"] < len(ORDERS), "it was in the middle"
        await asyncio.gather(starting, signalling)
        await running.until(lambda: _completed(running, len(ORDERS)), "all orders are done")
    finally:
        starting.cancel()
        signalling.cancel()
    await nothing_is_wrong(running, ORDERS, expected)


async def _kill_the_busiest(running: Exchange, kind: str) -> bool:
    name, held = await running.busiest(kind)
    if held:
        running.kill(name)
    return bool(held)


async def _completed(running: Exchange, orders: int) -> Counter[str] | None:
    counts = await running.counts()
    return counts if counts["completed"] >= orders else None
