"""SIGTERM while both servers are gone: every process ends by itself, and soon; what it held goes on elsewhere."""

from __future__ import annotations

import asyncio
import time

import pytest

from chaos.exchange import Exchange, exchange
from chaos.load import orders_come

NAMES = ["gateway", "supervisor", "agents.1", "tools.1", "llm.1"]
DRAIN = 2.0  # seconds that running steps are given
SOON = 12.0  # seconds, the drain among them


@pytest.mark.sweep
async def test_everybody_ends_without_servers() -> None:
    async with exchange(NAMES, drain=DRAIN) as running, orders_come(running, unknown=True) as load:
        running.kill("nats")
        running.kill("postgres")
        for name in NAMES:
            running.processes[name].terminate()
        took = await _endings(running)
        assert {name: seconds for name, seconds in took.items() if seconds > SOON} == {}, took
        for name in ("nats", "postgres", *NAMES):
            await asyncio.to_thread(running.revive, name)
        await load.goes_on()


async def _endings(running: Exchange) -> dict[str, float]:
    """After how many seconds each process ended."""
    begun, took = time.monotonic(), {}

    async def all_gone() -> bool:
        for name in NAMES:
            if name not in took and running.processes[name].poll() is not None:
                took[name] = time.monotonic() - begun
        return len(took) == len(NAMES)

    await running.until(all_gone, "all have ended")
    return took
