"""A TCP line that can be cut, fall silent, be slow, and come back: between one process, or all, and one server."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from psycopg.conninfo import conninfo_to_dict, make_conninfo

_CHUNK = 1 << 16
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: what is closed is reset
_ON_THE_WAY = 256  # chunks in one direction

Way = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Proxy:
    """Listens on ``port`` and carries on to ``target``: a host with a port, or the path of a Unix socket.

    ``latency`` and ``jitter`` are seconds each way; a byte never overtakes another. Both take effect at once.
    ``carried`` counts the bytes that passed.
    """

    def __init__(self, target: tuple[str, int] | str) -> None:
        self.latency = 0.0
        self.jitter = 0.0
        self.port = 0
        self.carried = 0
        self._target = target
        self._cut = False
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._reset_all()

    # --- what goes wrong --------------------------------------------------------------------------------------------

    async def cut(self) -> None:
        """Connections are reset, and new ones too, as soon as they are made."""
        self._cut = True
        await self._reset_all()

    def freeze(self) -> None:
        """No byte passes, and nobody is told: connections stay, and new ones are accepted."""
        self._flowing.clear()

    def heal(self) -> None:
        """All is as before. What was sent into a frozen line arrives now."""
        self._cut = False
        self._flowing.set()

    async def _reset_all(self) -> None:
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    # --- one connection ---------------------------------------------------------------------------------------------

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.create_task(self._link(reader, writer))
        self._links.add(link)
        link.add_done_callback(self._links.discard)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        ways: list[asyncio.Task[None]] = []
        try:
            if not self._cut:
                far = await self._connect()
                ends.append(far[1])
                ways += map(asyncio.create_task, self.ways((reader, writer), far))
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        except OSError:
            pass  # the server is away: whoever called is reset
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in ends:
                _reset(end)

    def ways(self, near: Way, far: Way) -> Sequence[Coroutine[Any, Any, None]]:
        """What carries a connection: when one of them ends, so does the connection."""
        return self._carry(near[0], far[1]), self._carry(far[0], near[1])

    async def _connect(self) -> Way:
        if isinstance(self._target, str):
            return await asyncio.open_unix_connection(self._target)
        return await asyncio.open_connection(*self._target)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until one end closes: everything, in its order, each chunk when it is due."""
        loop = asyncio.get_running_loop()
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_ON_THE_WAY)
        delivering = asyncio.create_task(self._deliver(chunks, writer))
        try:
            due = 0.0
            while data := await reader.read(_CHUNK):
                due = max(due, loop.time() + self.latency + random.uniform(0, self.jitter))
                await chunks.put((due, data))
            await chunks.put((due, b""))
            await delivering
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)

    async def _deliver(self, chunks: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while True:
                due, data = await chunks.get()
                await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
                await self._flowing.wait()
                if not data:
                    return
                self.carried += len(data)
                writer.write(data)
                await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    end = writer.get_extra_info("socket")
    if end is not None and end.family == socket.AF_INET:
        with suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


def postgres_at(url: str) -> tuple[str, int] | str:
    """Where the server of this connection string listens."""
    target = conninfo_to_dict(url)
    host, port = str(target.get("host")), int(target.get("port") or 5432)
    return f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)


def through(proxy: Proxy, url: str) -> str:
    """The connection string that leads to the same database by way of ``proxy``."""
    return make_conninfo(url, host="127.0.0.1", port=proxy.port, sslmode="disable", gssencmode="disable")


class Lines:
    """A line to each server, and the settings with which a process takes them."""

    def __init__(self, nats_url: str, database_url: str) -> None:
        self._database_url = database_url
        parts = urlsplit(nats_url)
        self.nats = Proxy((str(parts.hostname), int(parts.port or 4222)))
        self.postgres = Proxy(postgres_at(database_url))

    @property
    def settings(self) -> dict[str, str]:
        return {
            "nats_url": f"nats://127.0.0.1:{self.nats.port}",
            "database_url": through(self.postgres, self._database_url),
        }


@asynccontextmanager
async def lines(nats_url: str, database_url: str) -> AsyncIterator[Lines]:
    """Lines of their own to both servers."""
    both = Lines(nats_url, database_url)
    await both.nats.start()
    await both.postgres.start()
    try:
        yield both
    finally:
        await both.nats.stop()
        await both.postgres.stop()
