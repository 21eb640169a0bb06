"""A worker's lines to the others: a bus that keeps every message until it is told to deliver it, and a database at
which the worker can die, or lose an answer, between any two things that it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from trunkline.bus.subjects import Subjects
from trunkline.domain.errors import Unavailable
from trunkline.store.database import Connection, Database, Unreachable

UNHEARD = frozenset({"ended", "alarm"})  # hints for clients, and for the supervisor


@dataclass(eq=False)
class Message:
    """``reply`` is waited on by whoever asked. ``deliveries`` counts those of a message that a stream keeps."""

    subject: str
    data: bytes
    reply: asyncio.Future[bytes] | None = None
    deliveries: int = 0


class Pool:
    """All that is on its way, in the order in which it was sent."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def put(self, message: Message) -> None:
        if UNHEARD.isdisjoint(message.subject.split(".")[1:3]):
            self.messages.append(message)

    def discard(self, message: Message) -> None:
        if message in self.messages:
            self.messages.remove(message)


class Fuse:
    """``arm`` it, and something goes wrong at the given crossing, or the next that it can go wrong at. Crossings are
    queries, their answers, and messages.
    """

    def __init__(self) -> None:
        self.blown = False
        self._left = 0
        self._then = ""

    def arm(self, crossings: int, then: str) -> None:
        """``then``: to ``die``, to ``lose`` an answer or a message, to ``lose the query``, or empty for nothing."""
        self._left, self._then = crossings, then

    def blow(self) -> None:
        self.blown = True

    async def cross(self, *, answer: bool) -> bool:
        """Whether it goes well. The dead never come back from here."""
        lost = self._burn("lose" if answer else "lose the query")
        if self.blown:
            await asyncio.get_running_loop().create_future()
        return not lost

    def send(self) -> bool:
        """Whether a message leaves the worker."""
        return not self._burn("lose") and not self.blown

    def _burn(self, here: str) -> bool:
        self._left -= 1
        if self._left > 0 or self._then not in ("die", here):
            return False
        self.blown = self.blown or self._then == "die"
        self._then = ""
        return True


class Wire:
    """The bus as one process has it: see ``trunkline.bus.connection.Bus``."""

    connected = True

    def __init__(self, pool: Pool, subjects: Subjects, fuse: Fuse) -> None:
        self.subjects = subjects
        self._pool, self._fuse = pool, fuse

    async def subscribe(self, subject: str, handler: Any) -> None:
        """Nobody's heartbeats come over it."""

    def send(self, subject: str, body: bytes, reply: str = "") -> None:
        if self._fuse.send():
            self._pool.put(Message(subject, body))

    def publish_soon(self, subject: str, body: bytes, *, msg_id: str | None = None) -> None:
        self.send(subject, body)

    async def publish(self, subject: str, body: bytes, *, msg_id: str | None = None, headers: Any = None) -> None:
        self.send(subject, body)

    async def request(self, subject: str, body: bytes, timeout: float) -> bytes:  # noqa: ASYNC109
        message = Message(subject, body, asyncio.get_running_loop().create_future())
        if self._fuse.send():
            self._pool.put(message)
        try:
            async with asyncio.timeout(timeout):
                return await message.reply
        except TimeoutError:
            raise Unavailable(what=subject, reason="no answer") from None
        finally:
            self._pool.discard(message)


class Line(Database):
    """One worker's way to Postgres, over the connections of ``database``. ``asking`` are queries under way: one after
    the other on all lines that share ``turns``, so that the same moves lead to the same end. ``stirred`` is called when
    one is done.
    """

    def __init__(self, database: Database, fuse: Fuse, turns: asyncio.Lock, stirred: Callable[[], object]) -> None:
        super().__init__(database._conninfo, database.schema, database.pool, pooled=False)
        self.asking = 0
        self.fuse = fuse
        self._turns, self._stirred = turns, stirred

    @asynccontextmanager
    async def asked(self) -> AsyncIterator[None]:
        self.asking += 1
        try:
            async with self._turns:
                yield
        finally:
            self.asking -= 1
            self._stirred()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        if not await self.fuse.cross(answer=False):
            raise Unreachable(reason="the test lost the query")
        async with self.asked(), super().connection() as connection:
            yield connection
        if not await self.fuse.cross(answer=True):
            lost = Unreachable(reason="the test lost the answer")
            lost.sent = True
            raise lost

    async def connect(self, settings: Mapping[str, str]) -> Connection:
        async with self.asked():
            connection = await super().connect(settings)
        connection.__class__ = Lossy
        connection.line = self  # type: ignore[attr-defined]
        return connection


class Lossy(psycopg.AsyncConnection[Any]):
    """The appender's connection: a commit may go through without its answer being heard."""

    line: Line

    async def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        if not await self.line.fuse.cross(answer=False):
            raise psycopg.OperationalError("the test lost the query")
        async with self.line.asked():
            result = await super().wait(gen, *args, **options)
        if not await self.line.fuse.cross(answer=True):
            raise psycopg.OperationalError("the test lost the answer")
        return result
