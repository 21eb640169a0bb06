"""A line to Postgres that loses things at the worst moment."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from chaos.proxy import Proxy, Way, postgres_at, through


class Losing(Proxy):
    """``lose_answer`` and ``lose_request`` cut the connection around the next statement that holds ``marker``.

    With ``lose_answer`` the server executes (and commits) it, and the client never hears; with ``lose_request`` the
    server never sees it. ``cuts`` counts.
    """

    def __init__(self, url: str, marker: bytes = b"") -> None:
        super().__init__(postgres_at(url))
        self._url = url
        self.marker = marker
        self.url = ""
        self.lose_answer = 0
        self.lose_request = 0
        self.cuts = 0

    async def start(self) -> None:
        """From here on ``url`` leads through the proxy."""
        await super().start()
        self.url = through(self, self._url)

    def ways(self, near: Way, far: Way) -> Sequence[Coroutine[Any, Any, None]]:
        deaf = asyncio.Event()
        return self._to_server(near[0], far[1], deaf), self._to_client(far[0], near[1], deaf)

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
