"""A connection that goes on listening: it tells what psycopg's own would, begins once, and ends when it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
import uvloop

from trunkline.store.listening import ListeningConnection

LARGE = 30_000_000  # bytes: more than a socket takes at once


class Watched(ListeningConnection):
    """Counts."""

    arrivals = stops = 0

    def _on_arrival(self) -> None:
        self.arrivals += 1
        super()._on_arrival()

    def _stop_listening(self) -> None:
        self.stops += 1
        super()._stop_listening()


async def one(connection: psycopg.AsyncConnection[Any], sql: str, *values: Any) -> Any:
    row = await (await connection.execute(sql.encode(), values)).fetchone()
    assert row is not None
    return row[0]


async def end_of(url: str, pid: int) -> None:
    """Have the server hang up."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as other:
        assert await one(other, "select pg_terminate_backend(%s, 5000)", pid)


async def goes_on_listening(url: str) -> None:
    connection = await Watched.connect(url, autocommit=True)
    assert [await one(connection, "select %s::int", number) for number in range(50)] == [*range(50)]
    assert connection.stops == 0
    await connection.close()


async def takes_what_is_large(url: str) -> None:
    connection = await Watched.connect(url, autocommit=True)
    assert await one(connection, "select length(%s::text)", "x" * LARGE) == LARGE
    assert await one(connection, "select repeat('x', %s)", LARGE) == "x" * LARGE
    assert await one(connection, "select 1") == 1
    await connection.close()


async def tells_what_is_wrong(url: str) -> None:
    connection = await Watched.connect(url, autocommit=True)
    with pytest.raises(psycopg.errors.DivisionByZero):
        await connection.execute("select 1 / 0")
    async with connection.transaction():
        assert await one(connection, "select 1") == 1
    async with connection.pipeline():
        assert await one(connection, "select 2") == 2
    await connection.close()


async def hears_the_end_once(url: str) -> None:
    """What lies in the socket while nobody asks must not keep the loop turning."""
    connection = await Watched.connect(url, autocommit=True)
    pid = await one(connection, "select pg_backend_pid()")
    before = connection.arrivals
    await end_of(url, pid)
    while connection.arrivals == before:  # noqa: ASYNC110 - the loop alone knows
        await asyncio.sleep(0)
    for _ in range(100):
        await asyncio.sleep(0)
    assert connection.arrivals == before + 1
    with pytest.raises(psycopg.OperationalError):
        await connection.execute("select 1")
    await connection.close()


async def leaves_its_socket(url: str) -> None:
    """The number of a socket that was lost is the next one's, which must hear its own answers."""
    for _ in range(5):
        connection = await Watched.connect(url, autocommit=True)
        pid, number = await one(connection, "select pg_backend_pid()"), connection.fileno()
        asking = asyncio.create_task(connection.execute("select pg_sleep(60)"))
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as other:
            while await one(other, "select state from pg_stat_activity where pid = %s", pid) != "active":  # noqa: ASYNC110
                await asyncio.sleep(0)
        await end_of(url, pid)
        with pytest.raises(psycopg.OperationalError):
            await asking
        after = await Watched.connect(url, autocommit=True)
        assert after.fileno() == number
        assert await one(after, "select 7") == 7
        await connection.close()
        assert await one(after, "select 8") == 8
        await after.close()


async def is_closed_when_it_is_called_off(url: str) -> None:
    connection = await Watched.connect(url, autocommit=True)
    asking = asyncio.create_task(connection.execute("select pg_sleep(60)"))
    while connection._arrived is None:  # noqa: ASYNC110 - it has not been sent
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert connection.closed
    with pytest.raises(psycopg.OperationalError):
        await connection.execute("select 1")


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize(
    "scenario",
    [
        goes_on_listening,
        takes_what_is_large,
        tells_what_is_wrong,
        hears_the_end_once,
        leaves_its_socket,
        is_closed_when_it_is_called_off,
    ],
)
def test_it(
    url: str, scenario: Callable[[str], Awaitable[None]], loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await scenario(url)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(bounded())
