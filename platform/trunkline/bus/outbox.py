"""Sending: what synchronous code hands over goes to the socket in one write for each turn of the event loop.

Here messages become NATS commands (PUB, HPUB): nats-py's ``publish`` is a coroutine for each, and checks, formats and
wakes its flusher every time. A connection that is away, or a slow socket, is waited for in one task, with all that
comes meanwhile behind it, as far as there is room.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from functools import lru_cache

from nats import errors

from trunkline.bus.wire import WireClient

log = logging.getLogger(__name__)

QUEUE = 16_384  # messages that wait for the socket at most
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NO_LINE = str.maketrans({"\r": " ", "\n": " "})
_BLANK = re.compile(r"\s")

Headers = dict[str, str]


class BadMessage(Exception):
    """A subject or the name of a header that would be read as something else."""


class Outbox:
    """Takes messages in order. Nothing here waits for an answer."""

    def __init__(self, client: WireClient) -> None:
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._queue: deque[bytes] = deque()
        self._empty = asyncio.Event()
        self._empty.set()
        self._waiting: asyncio.Task[None] | None = None  # for a connection, or for room

    def send(
        self, subject: str, data: bytes, reply: str = "", headers: Headers | None = None, token: bytes = b""
    ) -> bool:
        """Queue one message; ``token`` ends its ``reply``. False when the queue is full, or the message is none: it is
        dropped.
        """
        try:
            head = b"%b %b%b " % (_subject(subject), _subject(reply), token) if reply else _subject(subject) + b" "
            if headers:
                block = _block(headers)
                return self.put(b"HPUB %b%d %d\r\n%b%b\r\n" % (head, len(block), len(block) + len(data), block, data))
        except BadMessage as error:
            log.error("not sent: %s", error)  # noqa: TRY400 - the message says it all
            return False
        return self.put(b"PUB %b%d\r\n%b\r\n" % (head, len(data), data))

    def answer(self, reply: bytes, word: bytes) -> bool:
        """Queue an answer to a message of the server's own, whose ``reply`` is sound."""
        return self.put(b"PUB %b %d\r\n%b\r\n" % (reply, len(word), word))

    def put(self, command: bytes) -> bool:
        """Queue one command. False when the queue is full: it is dropped."""
        queue = self._queue
        if len(queue) >= QUEUE:
            return False
        queue.append(command)
        if len(queue) == 1 and self._waiting is None:
            self._empty.clear()
            self._loop.call_soon(self._send)
        return True

    async def flush(self) -> None:
        """Wait until all that was queued is with the socket, or with nats-py."""
        await self._empty.wait()

    async def close(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            await asyncio.gather(self._waiting, return_exceptions=True)

    def _send(self) -> None:
        """All that gathered since the last turn of the loop."""
        if not self._queue or self._waiting is not None:
            return
        if self._client.write(b"".join(self._queue)):
            self._queue.clear()
            self._empty.set()
        else:
            self._waiting = asyncio.create_task(self._forward(), name="bus outbox")

    async def _forward(self) -> None:
        try:
            while self._queue:
                await self._forward_one(self._queue.popleft())
        finally:
            self._waiting = None
            self._empty.set()

    async def _forward_one(self, command: bytes) -> None:
        try:
            await self._client.forward(command)
        except errors.Error as error:  # away with full buffers, or closed: a publish is sent again later
            log.debug("not sent: %s", error)
        except Exception:
            log.exception("not sent")


@lru_cache(2048)
def _subject(subject: str) -> bytes:
    """
    Raises:
        BadMessage: it is empty, or holds what would end it.
    """
    if not subject or _BLANK.search(subject):
        raise BadMessage(f"{subject!r} is no subject")
    return subject.encode(errors="replace")


def _block(headers: Headers) -> bytes:
    """
    Raises:
        BadMessage: a header's name is none.
    """
    lines = ["NATS/1.0"]
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise BadMessage(f"{name!r} is no name of a header")
        lines.append(f"{name}: {value.strip().translate(_NO_LINE)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode(errors="replace")
