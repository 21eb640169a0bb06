"""What a Postgres does in its life: it restarts, hangs up on everybody, runs out of disk, and out of connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
import pytest

from chaos.exchange import Exchange, exchange
from chaos.load import orders_come
from trunkline.domain.work import BEGIN_WITHIN

NAMES = ["gateway", "supervisor", "agents.1", "agents.2", "tools.1", "llm.1"]
SECONDS = 3.0  # that a fault lasts

HANG_UP = "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'trunkline%'"
FULL = """
create function no_room() returns trigger language plpgsql as $$
begin raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$;
create trigger no_room before insert on {table} for each statement execute function no_room()
"""


@pytest.mark.sweep
async def test_it_is_restarted_twice() -> None:
    async with exchange(NAMES) as running, orders_come(running) as load:
        for _ in range(2):
            await asyncio.to_thread(running.stack.postgres.stop)
            await asyncio.to_thread(running.stack.postgres.start)
            await load.goes_on()


async def test_it_hangs_up_on_everybody_again_and_again() -> None:
    async with exchange(NAMES) as running, orders_come(running) as load, _outside(running) as connection:
        hung_up = 0
        begun = time.monotonic()
        while time.monotonic() - begun < 2 * SECONDS:
            hung_up += (await connection.execute(HANG_UP)).rowcount
            await asyncio.sleep(0.1)
        assert hung_up > 50
        await load.goes_on()


@pytest.mark.parametrize("table", ["journal", pytest.param("mailbox", marks=pytest.mark.sweep)])
async def test_its_disk_is_full_for_a_while(table: str) -> None:
    async with exchange(NAMES) as running, orders_come(running) as load, _outside(running) as connection:
        await connection.execute(FULL.format(table=table).encode())
        assert await _refused(connection, table) == "53100"
        await asyncio.sleep(SECONDS)
        await connection.execute(f"drop trigger no_room on {table}".encode())
        await load.goes_on()
        assert await running.ask("select id from dead_letters") == []


@pytest.mark.sweep
async def test_it_has_no_connections_left() -> None:
    async with exchange(NAMES) as running, orders_come(running) as load, _outside(running) as connection:
        taken = await _all_connections(running, connection)
        try:
            await asyncio.sleep(SECONDS)
            assert await connection.execute(HANG_UP)
        finally:
            for one in taken:
                await one.close()
        await load.goes_on()


@pytest.mark.sweep
@pytest.mark.timeout(300)
@pytest.mark.parametrize("beyond", [1.0, 8.0])  # seconds; after the longer ones runs have been parked meanwhile
async def test_permits_that_it_records_too_late_are_unknown_to_nobody(beyond: float) -> None:
    """It takes longer to record them than there is time to begin, and several tool workers take the items."""
    names = [*NAMES, "tools.2"]
    async with exchange(names) as running, orders_come(running, at_once=60) as load, _outside(running) as connection:
        while not await running.ask(_NOT_BEGUN):
            await running.until(lambda: running.ask(_ABOUT_TO_SHIP), "something unsafe is about to begin")
            async with connection.transaction():
                await connection.execute("lock table journal in exclusive mode")
                await asyncio.sleep(BEGIN_WITHIN + beyond)
            await load.goes_on()


_NOT_BEGUN = "select 1 from journal where type = 'StepRetried' and body->>'reason' = 'not begun'"
_ABOUT_TO_SHIP = """
select 1 from journal s where s.type = 'StepScheduled' and s.body->>'key' like 'tool:ship%' and not exists (
    select from journal b where b.run = s.run and b.type = 'StepStarted' and b.body->>'key' = s.body->>'key')
"""


@asynccontextmanager
async def _outside(running: Exchange) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """A connection of somebody who is no part of the exchange."""
    connection = await psycopg.AsyncConnection.connect(running.stack.postgres.url, autocommit=True)
    try:
        yield connection
    finally:
        await connection.close()


async def _refused(connection: psycopg.AsyncConnection[Any], table: str) -> str | None:
    """The SQLSTATE with which it refuses a row."""
    try:
        await connection.execute(f"insert into {table} default values".encode())
    except psycopg.Error as error:
        return error.sqlstate
    return None


async def _all_connections(running: Exchange, outside: Any) -> list[psycopg.AsyncConnection[Any]]:
    """Hang up on everybody, and take every connection before they come back."""
    taken: list[psycopg.AsyncConnection[Any]] = []
    for _ in range(5):
        await outside.execute(HANG_UP)
        with suppress(psycopg.OperationalError):
            while True:
                taken.append(await psycopg.AsyncConnection.connect(running.stack.postgres.url))
    assert len(taken) > 150
    return taken
