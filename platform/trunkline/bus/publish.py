"""JetStream publishes, pipelined behind one inbox of acknowledgements.

``js.publish`` of nats-py makes a request of each message; here up to ``WINDOW`` messages are under way, each with a
reply subject of one wildcard inbox, and an answer finds its message by the last token. Silence proves nothing: after a
reconnect, and when no answer came for ``ANSWER_WITHIN``, a message is sent again, and may then be stored twice, which
every receiver bears.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from trunkline.bus.attending import Attending
from trunkline.bus.outbox import Headers, Outbox
from trunkline.bus.wire import WireClient
from trunkline.domain.codec import loads
from trunkline.domain.errors import BadJson, PayloadTooLarge, Unavailable

log = logging.getLogger(__name__)

WINDOW = 4096  # messages under way at once
ANSWER_WITHIN = 5.0  # seconds
PATIENCE = 30.0  # seconds of a live connection in which a message must be taken
_SWEEP_EVERY = 1.0
_NOT_UP = 10008  # "JetStream system temporarily unavailable"
_HEADERS = 1024  # bytes that headers take at most


@dataclass(slots=True)
class _UnderWay:
    subject: str
    data: bytes
    headers: Headers | None
    answer: asyncio.Future[None] | None  # None: nobody waits for it
    sent_at: float = 0.0
    waited: float = 0.0  # seconds of a live connection


@dataclass(slots=True)
class PublishStats:
    """Counts since the start, and what is under way."""

    published: int = 0
    sent_again: int = 0
    dropped: int = 0
    failed: int = 0
    under_way: Callable[[], int] = field(default=lambda: 0)


class Publisher:
    """``start`` first. ``connected`` says whether there is a server, ``suspect`` is called when a stream seems gone."""

    def __init__(
        self, client: WireClient, outbox: Outbox, *, connected: Callable[[], bool], suspect: Callable[[str], bool]
    ) -> None:
        self._client, self._outbox = client, outbox
        self._connected, self._suspect = connected, suspect
        self._prefix = client.new_inbox() + "."
        self._under_way: dict[bytes, _UnderWay] = {}  # by the token at the end of the reply subject
        self._next = 0
        self._room: deque[asyncio.Future[None]] = deque()
        self._none_left = asyncio.Event()
        self._none_left.set()
        self._loop = asyncio.get_running_loop()
        self._head = len(self._prefix)
        self._attending = Attending(_SWEEP_EVERY, self._sweep)
        self._sweeper: asyncio.Task[None] | None = None
        self._closed = False
        self.stats = PublishStats(under_way=lambda: len(self._under_way))

    async def start(self) -> None:
        await self._client.listen(self._prefix + "*", self._answered)
        self._sweeper = asyncio.create_task(self._attending.run(), name="bus publisher")

    async def close(self) -> None:
        """End; what is under way fails with ``Unavailable``."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        for token in list(self._under_way):
            self._fail(token, Unavailable(what="NATS", reason="this process is closing its connection"))
        while self._room:
            self._let_in()

    async def drained(self) -> None:
        """Wait until nothing is under way."""
        await self._none_left.wait()

    async def publish(self, subject: str, data: bytes, headers: Headers | None) -> None:
        """Store one message; returns when JetStream has acknowledged it.

        Raises:
            PayloadTooLarge: the server takes less.
            Unavailable: JetStream refused it, no stream takes it, or the connection is closed.
        """
        while len(self._under_way) >= WINDOW and not self._closed:
            await self._wait_for_room()
        answer = self._loop.create_future()
        token = self._begin(subject, data, headers, answer)
        try:
            await answer
        finally:
            self._forget(token)

    def publish_soon(self, subject: str, data: bytes, headers: Headers | None) -> bool:
        """The same, unobserved: a failure is logged and counted. False when the window is full: it is dropped, and
        counted.
        """
        if len(self._under_way) >= WINDOW or self._closed:
            self.stats.dropped += 1
            return False
        try:
            self._begin(subject, data, headers, None)
        except PayloadTooLarge as error:
            self._note(error)
        return True

    def reconnected(self) -> None:
        """Send again all that is under way: the old connection took it along, or not."""
        for token, message in self._under_way.items():
            self._send(token, message)
        self.stats.sent_again += len(self._under_way)

    # --- one message ------------------------------------------------------------------------------------------------

    def _begin(self, subject: str, data: bytes, headers: Headers | None, answer: asyncio.Future[None] | None) -> bytes:
        if self._closed:
            raise Unavailable(what="NATS", reason="this process has closed its connection")
        limit = self._client.max_payload - (_HEADERS if headers else 0)
        if len(data) > limit:
            raise PayloadTooLarge(what=f"The message to {subject}", size=len(data), limit=limit)
        token = b"%x" % self._next
        self._next += 1
        message = _UnderWay(subject, data, headers, answer)
        self._under_way[token] = message
        self._none_left.clear()
        self._attending.begin()
        if self._connected():
            self._send(token, message)
        return token

    def _send(self, token: bytes, message: _UnderWay) -> None:
        message.sent_at = time.monotonic()
        self._outbox.send(message.subject, message.data, self._prefix, message.headers, token)

    def _answered(self, subject: bytes, _reply: bytes, data: bytes, _headers: bytes) -> None:
        token = subject[self._head :]
        message = self._under_way.get(token)
        if message is None:  # of an earlier sending
            return
        if data and b'"error"' not in data:
            self._forget(token)
            self.stats.published += 1
            if message.answer is not None and not message.answer.done():
                message.answer.set_result(None)
        else:
            self._refused(token, message, data)

    def _refused(self, token: bytes, message: _UnderWay, data: bytes) -> None:
        reason = _refusal(data)
        if reason:
            self._fail(token, Unavailable(what=f"A place for {message.subject} in JetStream", reason=reason))
        elif not self._suspect(message.subject):
            self._fail(token, Unavailable(what=f"A stream for {message.subject}", reason="none of ours takes it"))
        else:  # JetStream is starting, or the stream is being declared again: the next sweep sends it once more
            message.sent_at = -ANSWER_WITHIN

    def _fail(self, token: bytes, error: Unavailable) -> None:
        message = self._forget(token)
        self.stats.failed += 1
        if message is not None and message.answer is None:
            self._note(error)
        elif message is not None and message.answer is not None and not message.answer.done():
            message.answer.set_exception(error)

    def _forget(self, token: bytes) -> _UnderWay | None:
        message = self._under_way.pop(token, None)
        if not self._under_way:
            self._none_left.set()
        if self._room:
            self._let_in()
        return message

    async def _wait_for_room(self) -> None:
        room = self._loop.create_future()
        self._room.append(room)
        try:
            await room
        except asyncio.CancelledError:
            if not room.cancelled():  # it had been let in: the next one goes instead
                self._let_in()
            raise

    def _let_in(self) -> None:
        while self._room:
            room = self._room.popleft()
            if not room.done():
                room.set_result(None)
                return

    def _note(self, error: BaseException) -> None:
        self.stats.dropped += 1
        log.warning("a message that nobody waits for was not stored: %s", error)

    # --- silence ----------------------------------------------------------------------------------------------------

    def _sweep(self) -> bool:
        if self._connected():
            self._look(time.monotonic())
        return bool(self._under_way)

    def _look(self, now: float) -> None:
        for token, message in list(self._under_way.items()):
            message.waited += _SWEEP_EVERY
            if message.waited > PATIENCE:
                self._fail(token, _silence(message.subject))
            elif now - message.sent_at > ANSWER_WITHIN:
                self.stats.sent_again += 1
                self._send(token, message)


def _silence(subject: str) -> Unavailable:
    return Unavailable(
        what="JetStream",
        reason=f"no acknowledgement for {subject} within {PATIENCE:.0f} s; see the log for a denied permission",
    )


def _refusal(data: bytes) -> str:
    """Why JetStream refused for good; empty when it may take the message in a moment (no body: "no responders")."""
    if not data:
        return ""
    try:
        error = loads(data)["error"]
        passing = error.get("err_code") == _NOT_UP
        return "" if passing else str(error.get("description") or "no reason was given")
    except (BadJson, KeyError, TypeError, AttributeError):
        return "its answer was not understood"
