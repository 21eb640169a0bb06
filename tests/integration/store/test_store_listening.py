"""A connection that goes on listening: it tells what psycopg's own would, begins once, and ends when it is lost."""

from __future__ import annotations

import asyncio
import socket
import struct
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
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


def message(kind: bytes, body: bytes) -> bytes:
    """As a server says it."""
    return kind + struct.pack("!i", 4 + len(body)) + body


READY = message(b"Z", b"I")
WELCOME = message(b"R", struct.pack("!i", 0)) + message(b"S", b"client_encoding\0UTF8\0") + READY
DONE = message(b"C", b"SET\0") + READY
GOING = message(b"E", b"SFATAL\0C57P01\0Mgoing\0\0")


@asynccontextmanager
async def connected_to_one_that_breaks() -> AsyncIterator[tuple[Watched, socket.socket]]:
    """A connection, and the server's end of it, which reads nothing of what it is asked: its close breaks the other."""
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(Path(directory, ".s.PGSQL.5432")))
        listening.listen()
        connecting = asyncio.create_task(Watched.connect(f"host={directory} user=u", autocommit=True))
        server, _ = await asyncio.to_thread(listening.accept)
        await asyncio.to_thread(server.recv, 4096)
        server.sendall(WELCOME)
        connection = await connecting
        yield connection, server
        await connection.close()


async def answered(connection: Watched, server: socket.socket, answer: bytes, *, breaks: bool) -> Any:
    """What comes of a statement to which ``server`` says this."""
    asking = asyncio.create_task(connection.execute("set a = 1"))
    while connection._arrived is None:  # noqa: ASYNC110 - it has not been sent
        await asyncio.sleep(0)
    server.sendall(answer)
    if breaks:
        server.close()
    return await asking


async def hears_that_it_broke_behind_a_last_word(_: str) -> None:
    async with connected_to_one_that_breaks() as (connection, server):
        assert (await answered(connection, server, DONE, breaks=False)).statusmessage == "SET"
        with pytest.raises(psycopg.OperationalError):
            await answered(connection, server, GOING, breaks=True)


async def hears_that_it_broke_behind_an_answer(_: str) -> None:
    async with connected_to_one_that_breaks() as (connection, server):
        await answered(connection, server, DONE, breaks=True)
        with pytest.raises(psycopg.OperationalError):
            await connection.execute("set a = 2")


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
        hears_that_it_broke_behind_a_last_word,
        hears_that_it_broke_behind_an_answer,
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
