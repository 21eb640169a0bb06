"""The bare core loop, which is the honest limit of this design: what no feature can be added to for free.

Of everything that Trunkline does there is only this: appends gather while the last commit is under way, and one array
statement writes them, with the fence and the update of the head; and work goes through JetStream to another process and
back, published behind an inbox of acknowledgements of our own and read by callback with the next pull asked for early.
There are no leases, run rows, replay, validation, retries, reconnects, metrics, or mailboxes.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg
from nats.aio.client import Client
from nats.aio.msg import Msg

MOST = 512  # appends in a commit, as in Trunkline
PULL = 1024  # messages asked for at once
_TABLES = """
create table instances (id int primary key, owner text not null, epoch int not null, head bigint not null)
    with (fillfactor = 50);
create table journal (instance int, version bigint, type text not null, body json not null, epoch int not null,
    recorded_at timestamptz not null default now(), primary key (instance, version));
insert into instances select n, 'floor', 1, 0 from generate_series(0, {last}) n;
"""
_APPEND = b"""
with passed as (
    update instances i set head = i.head + f.n
    from unnest($1::int[], $2::text[], $3::int[], $4::bigint[], $5::bigint[])
        with ordinality as f(id, owner, epoch, expected, n, k)
    where i.id = any($1::int[]) and i.id = f.id
      and i.owner = f.owner and i.epoch = f.epoch and i.head = f.expected
    returning f.k, i.id, i.epoch
),
written as (
    insert into journal (instance, version, type, body, epoch)
    select p.id, e.version, e.type, e.body::json, p.epoch
    from unnest($6::bigint[], $7::bigint[], $8::text[], $9::text[]) as e(k, version, type, body) join passed p using (k)
)
select k from passed
"""
_SESSION = "set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set enable_bitmapscan = off; \
set enable_nestloop = off; set enable_mergejoin = off; set jit = off"


@dataclass(slots=True)
class Append:
    """Entries (type, JSON text) of one instance, at its head ``expected``."""

    instance: int
    expected: int
    entries: tuple[tuple[str, str], ...]
    done: asyncio.Future[None]


class Journal:
    """One connection, and one commit at a time that takes all that has gathered."""

    def __init__(self, connection: psycopg.AsyncConnection[tuple[int]]) -> None:
        self._connection = connection
        self._waiting: deque[Append] = deque()
        self._filled = asyncio.Event()
        self._task = asyncio.create_task(self._commit_all())

    @classmethod
    async def open(cls, url: str, instances: int) -> Journal:
        connection = await psycopg.AsyncConnection[tuple[int]].connect(url, autocommit=True)
        await connection.execute(_TABLES.format(last=instances - 1).encode())
        await connection.execute(_SESSION.encode())
        return cls(connection)

    async def append(self, instance: int, expected: int, *entries: tuple[str, str]) -> int:
        """The new head, once it is committed.

        Raises:
            RuntimeError: the instance is not at this head.
        """
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(Append(instance, expected, entries, done))
        self._filled.set()
        await done
        return expected + len(entries)

    async def _commit_all(self) -> None:
        cursor = psycopg.AsyncRawCursor(self._connection)
        while True:
            await self._filled.wait()
            group = [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]
            if not self._waiting:
                self._filled.clear()
            group.sort(key=lambda one: one.instance)
            await cursor.execute(_APPEND, _arrays(group), prepare=True, binary=True)
            passed = {k for (k,) in await cursor.fetchall()}
            for k, one in enumerate(group, 1):
                if k in passed:
                    one.done.set_result(None)
                else:
                    one.done.set_exception(RuntimeError(f"instance {one.instance} is not at {one.expected}"))


def _arrays(group: list[Append]) -> list[list[object]]:
    """The statement's parameters: five of fences, four of entries."""
    fences = [(one.instance, "floor", 1, one.expected, len(one.entries)) for one in group]
    entries = [
        (k, one.expected + place, type_, body)
        for k, one in enumerate(group, 1)
        for place, (type_, body) in enumerate(one.entries, 1)
    ]
    return [*map(list, zip(*fences, strict=True)), *map(list, zip(*entries, strict=True))]


@dataclass(slots=True)
class Line:
    """JetStream without ceremony: ``publish`` hears of the PubAck, and ``read`` calls back with every message."""

    client: Client
    _inbox: str = ""
    _answers: dict[str, Callable[[], None]] = field(default_factory=dict)
    _tokens: itertools.count[int] = field(default_factory=itertools.count)

    async def open(self) -> None:
        self._inbox = self.client.new_inbox()
        await self.client.subscribe(f"{self._inbox}.*", cb=self._answered)

    async def publish(self, subject: str, data: bytes, stored: Callable[[], None]) -> None:
        """Send; ``stored`` is called when JetStream has it."""
        token = str(next(self._tokens))
        self._answers[token] = stored
        await self.client.publish(subject, data, reply=f"{self._inbox}.{token}")

    async def read(self, stream: str, handle: Callable[[Msg], None]) -> None:
        """Pull for ever; the next pull is asked for when half of the last has come."""
        context = self.client.jetstream()
        name = await context.add_consumer(stream, durable_name="all", ack_policy="explicit", max_ack_pending=65_536)
        next_, inbox = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name.name}", self.client.new_inbox()
        left = 0

        async def ask() -> None:
            nonlocal left
            left += PULL
            await self.client.publish(next_, json.dumps({"batch": PULL}).encode(), reply=inbox)

        async def arrived(message: Msg) -> None:
            nonlocal left
            if message.subject == inbox:
                return
            left -= 1
            handle(message)
            if left < PULL // 2:
                await ask()

        await self.client.subscribe(inbox, cb=arrived, pending_msgs_limit=0, pending_bytes_limit=0)
        await ask()

    async def _answered(self, message: Msg) -> None:
        self._answers.pop(message.subject.rpartition(".")[2])()
