"""A TCP proxy in front of Postgres that loses things at the worst moment."""

from __future__ import annotations

import asyncio

from psycopg.conninfo import conninfo_to_dict, make_conninfo


class Proxy:
    """``lose_answer`` and ``lose_request`` cut the connection around the next statement that holds ``marker``.

    With ``lose_answer`` the server executes (and commits) it, and the client never hears; with ``lose_request`` the
    server never sees it. ``cuts`` counts.
    """

    def __init__(self, url: str, marker: bytes = b"") -> None:
        self._target = conninfo_to_dict(url)
        self._url = url
        self.marker = marker
        self.url = ""
        self.lose_answer = 0
        self.lose_request = 0
        self.cuts = 0
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """From here on ``url`` leads through the proxy."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = make_conninfo(self._url, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable")

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.create_task(self._link(reader, writer))
        self._links.add(link)
        link.add_done_callback(self._links.discard)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await self._connect()
        except OSError:
            writer.close()
            return
        deaf = asyncio.Event()
        ways = [
            asyncio.create_task(self._to_server(reader, up_writer, deaf)),
            asyncio.create_task(self._to_client(up_reader, writer, deaf)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            writer.transport.abort()
            up_writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = str(self._target.get("host")), self._target.get("port") or 5432
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, int(port))

    async def _to_server(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, deaf: asyncio.Event) -> None:
        while data := await reader.read(1 << 20):
            if self.marker in data and self.lose_request:
                self.lose_request -= 1
                self.cuts += 1
                return
            if self.marker in data and self.lose_answer:
                self.lose_answer -= 1
                self.cuts += 1
                deaf.set()
            writer.write(data)
            await writer.drain()

    async def _to_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, deaf: asyncio.Event) -> None:
        swallowed = b""
        while data := await reader.read(1 << 20):
            if deaf.is_set():
                swallowed += data
                if swallowed.endswith(b"Z\x00\x00\x00\x05I"):  # ready for the next query: this one is committed
                    return
                continue
            writer.write(data)
            await writer.drain()
