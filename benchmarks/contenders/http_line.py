"""HTTP/1.1 over one connection that stays open: a load that costs little of the machine that it measures."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

STALE = 3.0  # seconds without use; servers close idle connections after five or more


class Lines:
    """A pool of connections to one server; as many as there are requests at once."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self._host, self._port = where.hostname or "127.0.0.1", where.port or 80
        self._idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """Status and body of the answer to a JSON body.

        Raises:
            OSError, asyncio.IncompleteReadError: the connection was lost.
        """
        reader, writer = self._line() or await asyncio.open_connection(self._host, self._port)
        data = json.dumps(body).encode()
        fields = {"Host": f"{self._host}:{self._port}", "Content-Type": "application/json", **(headers or {})}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"POST {path} HTTP/1.1\r\n{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        answer = await _answer(reader)
        self._idle.append((time.monotonic(), reader, writer))
        return answer

    def _line(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """The one that was used last; the others go when they are so old that a server may be closing them."""
        if not self._idle:
            return None
        used_at, reader, writer = self._idle.pop()
        if time.monotonic() - used_at < STALE:
            return reader, writer
        self._idle.append((used_at, reader, writer))
        self.close()
        self._idle.clear()
        return None

    def close(self) -> None:
        for _, _, writer in self._idle:
            writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status = int(head.split(" ", 2)[1])
    if "\ncontent-length:" in head:
        return status, await reader.readexactly(int(head.partition("\ncontent-length:")[2].split("\r", 1)[0]))
    parts = []
    while "\ntransfer-encoding: chunked" in head:
        size = int(await reader.readline(), 16)
        parts.append((await reader.readexactly(size + 2))[:-2])
        if not size:
            break
    return status, b"".join(parts)
