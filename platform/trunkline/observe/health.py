"""A small HTTP server for ``/healthz``, ``/readyz`` and ``/metrics``, for processes that serve no other HTTP.

``/healthz`` answers as long as the event loop turns; ``/readyz`` asks every check what is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Self

from trunkline.domain.codec import dumps
from trunkline.domain.errors import BadDeclaration
from trunkline.observe import metrics

Check = Callable[[], str | None]

MAX_HEAD = 8 * 1024  # bytes of a request's head
MAX_CONNECTIONS = 64
PATIENCE = 5.0  # seconds for a request to arrive and for its answer to leave

_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"
Answer = tuple[HTTPStatus, str, bytes]


class HealthServer:
    """A check returns what is missing, or None. Port 0 takes a free one (see ``url``), -1 serves nothing."""

    def __init__(self, host: str, port: int, checks: Mapping[str, Check]) -> None:
        self._host, self._port, self._checks = host, port, dict(checks)
        self._server: asyncio.Server | None = None
        self._open = 0
        self.url = ""

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            BadDeclaration: the address cannot be listened on.
        """
        if self._port < 0:
            return
        try:
            self._server = await asyncio.start_server(self._connection, self._host, self._port, limit=MAX_HEAD)
        except OSError as error:
            raise BadDeclaration(
                what=f"TRUNKLINE_METRICS_HOST={self._host} TRUNKLINE_METRICS_PORT={self._port}",
                reason=(error.strerror or str(error)).lower(),
                fix="Take another port; 0 takes a free one, -1 turns this server off.",
            ) from None
        host, port = self._server.sockets[0].getsockname()[:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def missing(self) -> dict[str, str]:
        """What is not there, by the name of its check."""
        found = {name: check() for name, check in self._checks.items()}
        return {name: what for name, what in found.items() if what is not None}

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= MAX_CONNECTIONS:
                async with asyncio.timeout(PATIENCE):
                    await self._exchange(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a client that went away, dawdles or talks nonsense gets no answer
        finally:
            self._open -= 1
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, _, rest = head.partition(b" ")
        status, content_type, body = self._answer(method, rest.split(b" ", 1)[0].split(b"?", 1)[0])
        lines = (
            f"HTTP/1.1 {status.value} {status.phrase}",
            f"Content-Type: {content_type}",
            f"Content-Length: {len(body)}",
            "Connection: close",
        )
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if method == b"HEAD" else body))
        await writer.drain()

    def _answer(self, method: bytes, path: bytes) -> Answer:
        if method not in (b"GET", b"HEAD"):
            return HTTPStatus.METHOD_NOT_ALLOWED, _TEXT, b"GET only\n"
        if path == b"/healthz":
            return HTTPStatus.OK, _TEXT, b"ok\n"
        if path == b"/metrics":
            return HTTPStatus.OK, metrics.CONTENT_TYPE, metrics.expose()
        if path == b"/readyz":
            missing = self.missing()
            status = HTTPStatus.SERVICE_UNAVAILABLE if missing else HTTPStatus.OK
            return status, _JSON, dumps({"ready": not missing, "missing": missing})
        return HTTPStatus.NOT_FOUND, _TEXT, b"try /healthz, /readyz or /metrics\n"
