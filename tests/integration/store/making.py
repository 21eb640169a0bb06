"""What the tests of the store are made of: requests, owners, appends, and looks at the tables."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

from trunkline.domain.ids import new_id
from trunkline.domain.journal import Entry, RunStarted, StepCompleted
from trunkline.domain.mail import Envelope
from trunkline.domain.status import EnvelopeKind
from trunkline.domain.work import Heartbeat
from trunkline.store import leases, workers
from trunkline.store.accept import accept
from trunkline.store.append import Append, Appender
from trunkline.store.database import Database
from trunkline.store.leases import Lease

TENANT = "default"
AGENT = "orders"

_numbers = itertools.count(1)


def envelope(key: str | None = None, *, kind: EnvelopeKind = EnvelopeKind.REQUEST, **fields: Any) -> Envelope:
    """A request to a fresh instance, unless told otherwise."""
    fields.setdefault("message_id", f"m{next(_numbers)}")
    if kind in (EnvelopeKind.REQUEST, EnvelopeKind.EVENT):
        fields.setdefault("run", new_id())
        fields.setdefault("body", {"input": {"n": 1}, "handler": "", "parent": None})
    fields.setdefault("body", {})
    return Envelope(tenant=TENANT, agent=AGENT, key=key or new_id(), kind=kind, **fields)


def submitted(appender: Appender, append: Append) -> asyncio.Future[None]:
    """Hand ``append`` over at once; the future ends as it does."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    appender.submit(append, lambda error: done.set_exception(error) if error else done.set_result(None))
    return done


def signal(to: Envelope, **fields: Any) -> Envelope:
    return envelope(to.key, kind=EnvelopeKind.SIGNAL, run=to.run, body={"name": "go", "data": None}, **fields)


def heartbeat(worker: str) -> Heartbeat:
    return Heartbeat(worker=worker, kind="agents", app="app", tenant=TENANT, host="here", pid=1, started_at=1.0)


async def worker(db: Database) -> str:
    """A worker that has joined."""
    name = new_id()
    await workers.join(db, heartbeat(name))
    return name


async def declare_dead(db: Database, name: str) -> bool:
    seen = next(each for each in await workers.list_workers(db) if each.worker == name)
    return await workers.declare_dead(db, name, seen.beat_at)


async def owned(db: Database, count: int = 1, *, by: str | None = None) -> tuple[str, list[tuple[Lease, Envelope]]]:
    """A worker that owns ``count`` fresh instances, each with one request; in the order of the instances' ids."""
    owner = by or await worker(db)
    letters = {letter.instance: letter for letter in (envelope() for _ in range(count))}
    await accept(db, list(letters.values()))
    taken, held = await leases.take(db, owner, list(letters))
    assert not held
    return owner, sorted(((lease, letters[lease.instance]) for lease in taken), key=lambda pair: pair[0].instance)


def started(run: str) -> Entry:
    return RunStarted(run, input=None, at=1.0, seed="seed", message_id="m")


def completed(run: str, value: Any = None) -> Entry:
    return StepCompleted(run, key=f"tool:t#{next(_numbers)}", value=value, at=1.0)


def append(lease: Lease, owner: str, entries: Sequence[Entry], *, after: int | None = None, **fields: Any) -> Append:
    """An append under ``lease``, at head ``after`` (the lease's own unless given)."""
    fields.setdefault("epoch", lease.epoch)
    return Append(
        instance=lease.instance,
        tenant=lease.tenant,
        agent=lease.agent,
        owner=owner,
        expected=lease.head if after is None else after,
        entries=entries,
        **fields,
    )


async def rows(db: Database, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    async with db.connection() as connection:
        cursor = await connection.execute(sql, parameters or None)
        return await cursor.fetchall() if cursor.description else []


async def value(db: Database, sql: str, *parameters: Any) -> Any:
    """The one value that ``sql`` comes to."""
    [[result]] = await rows(db, sql, *parameters)
    return result


async def everything(db: Database) -> dict[str, int]:
    """How many rows each table that an append writes has."""
    tables = ("journal", "mailbox", "runs", "timers", "dead_letters")
    counts = {table: await value(db, f"select count(*) from {table}") for table in tables}
    counts["taken"] = await value(db, "select count(*) from mailbox where taken_at is not null")
    return counts
