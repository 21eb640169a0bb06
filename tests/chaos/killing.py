"""The way of each of these tests: 200 orders are under way and more come, something is killed, and nothing is wrong."""

from __future__ import annotations

import asyncio

from chaos.exchange import Exchange, exchange
from chaos.load import Load, orders_come

AT_ONCE = 200
ALL = ["gateway", "supervisor", "agents.1", "agents.2", "tools.1", "llm.1"]


async def a_worker_is_killed(kind: str) -> None:
    """One of two workers of this kind dies with work in its hands, and does not come back."""
    others = {"agents": ["agents.1"], "tools": ["tools.1"], "llm": ["llm.1"]} | {kind: [f"{kind}.1", f"{kind}.2"]}
    names = ["gateway", "supervisor", *(name for listed in others.values() for name in listed)]
    async with exchange(names) as running, orders_come(running, at_once=AT_ONCE, unknown=kind == "tools") as load:
        await running.until(lambda: _kill_the_busiest(running, kind), f"a worker of {kind} has work in its hands")
        await _in_the_middle(load)


async def nats_is_wiped() -> None:
    """NATS dies and forgets everything. What was accepted is in Postgres."""
    async with exchange(ALL) as running, orders_come(running, at_once=AT_ONCE, unknown=True) as load:
        running.wipe()
        await asyncio.to_thread(running.revive, "nats")
        await _in_the_middle(load)


async def a_part_is_killed(name: str, *, missed: str = "", away: float = 0.0, names: list[str] | None = None) -> None:
    """Something that there is one of dies, and comes back: when somebody had to repeat what he tried (``missed``:
    "publish" or "post"), and after ``away`` seconds.
    """
    async with exchange(names or ALL) as running, orders_come(running, at_once=AT_ONCE) as load:
        running.kill(name)
        if missed:
            before = running.repeated[missed]
            await running.until(lambda: _repeated(running, missed, before), f"somebody had to {missed} again")
        await asyncio.sleep(away)
        await asyncio.to_thread(running.revive, name)
        await _in_the_middle(load)


async def _in_the_middle(load: Load) -> None:
    at_the_kill = await load.running.until(load.running.counts, "Postgres answers")
    assert 0 < at_the_kill["completed"] < len(load.orders), "it was in the middle"


async def _kill_the_busiest(running: Exchange, kind: str) -> bool:
    name, held = await running.busiest(kind)
    if held:
        running.kill(name)
    return bool(held)


async def _repeated(running: Exchange, what: str, before: int) -> bool:
    return running.repeated[what] > before
