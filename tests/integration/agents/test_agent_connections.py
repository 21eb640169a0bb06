"""How many connections to Postgres an agent worker has, whatever it has to do; and what they are called there."""

from __future__ import annotations

import asyncio
from typing import Any

from integration.agents.conftest import Exchange, Worker

POOL = 2
RUNS = 200


async def count(exchange: Exchange) -> int:
    """The worker's connections, as Postgres counts them."""
    async with exchange.db.connection() as connection:
        cursor = await connection.execute(
            "select count(*) from pg_stat_activity where application_name = 'trunkline agents'"
        )
        row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def most(exchange: Exchange, done: asyncio.Event) -> int:
    found = 0
    while not done.is_set():
        found = max(found, await count(exchange))
    return found


async def test_they_are_bounded_under_load(exchange: Exchange, eventually: Any) -> None:
    done = asyncio.Event()
    async with Worker(exchange.settings.model_copy(update={"database_pool": POOL})):
        counting = asyncio.create_task(most(exchange, done))
        asking = (exchange.request("patient", f"k-{number}", str(number)) for number in range(RUNS))
        for run in await asyncio.gather(*asking):
            await exchange.until(run, "waiting")
        done.set()
        assert 1 < await counting <= POOL + 2, "two more than its pool: for appends, and for leases and mail"

    async def none_is_left() -> bool:  # the server needs a moment to notice
        return await count(exchange) == 0

    assert await eventually(none_is_left)
