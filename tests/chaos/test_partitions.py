"""One process is cut off from one of the servers, and not from the other; or all lines are slow, or flap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from chaos.exchange import Exchange, servers
from chaos.load import orders_come
from chaos.proxy import Lines, Proxy, lines
from chaos.roster import PATIENT_LEASE, nobody_died

NAMES = ["gateway", "supervisor", "agents.1", "agents.2", "tools.1", "tools.2", "llm.1"]
LONG = PATIENT_LEASE + 1.0  # seconds that a line is cut, and then that it is silent: more than a lease
SLOW = 0.05  # seconds each way, and as many again by chance
FLAPS = 8


@pytest.mark.parametrize(
    ("name", "server"),
    [
        ("agents.1", "postgres"),
        pytest.param("tools.1", "nats", marks=pytest.mark.sweep),
        pytest.param("agents.1", "nats", marks=pytest.mark.sweep),
        pytest.param("tools.1", "postgres", marks=pytest.mark.sweep),
        pytest.param("supervisor", "nats", marks=pytest.mark.sweep),
        pytest.param("supervisor", "postgres", marks=pytest.mark.sweep),
    ],
)
async def test_it_is_not_taken_for_dead_and_all_completes(name: str, server: str) -> None:
    async with _exchange({name}) as (running, both), orders_come(running, unknown=True) as load:
        line: Proxy = getattr(both, server)
        await line.cut()
        await _for_long(line)
        await load.goes_on()
        line.freeze()
        await _for_long(line)
        await load.goes_on()
        await nobody_died(running)


@pytest.mark.sweep
async def test_all_lines_are_slow() -> None:
    async with _exchange(set(NAMES)) as (running, both), orders_come(running) as load:
        for line in (both.nats, both.postgres):
            line.latency = line.jitter = SLOW
        await load.goes_on()
        await nobody_died(running)


@pytest.mark.sweep
async def test_all_lines_are_cut_every_second() -> None:
    async with _exchange(set(NAMES)) as (running, both), orders_come(running, unknown=True) as load:
        for flap in range(FLAPS):
            line = (both.nats, both.postgres)[flap % 2]
            await line.cut()
            await asyncio.sleep(0.2)
            line.heal()
            await asyncio.sleep(0.8)
        await load.goes_on()
        await nobody_died(running)


async def _for_long(line: Proxy) -> None:
    """Nothing passes for longer than a lease; then the line is as before."""
    before = line.carried
    assert before > 0, "it has no other way"
    await asyncio.sleep(LONG)
    assert line.carried == before
    line.heal()


@asynccontextmanager
async def _exchange(behind: set[str]) -> AsyncIterator[tuple[Exchange, Lines]]:
    """An exchange in which the processes ``behind`` the lines have no other way to the servers."""
    async with servers() as running, lines(running.stack.nats.url, running.stack.postgres.url) as both:
        running.settings = {"lease": PATIENT_LEASE}
        for name in NAMES:
            running.start(name, **(both.settings if name in behind else {}))
        await running.joined(*NAMES)
        yield running, both
