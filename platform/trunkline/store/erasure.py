"""Erasing one instance: all that it was, did and was told goes in one transaction, and a tombstone stays.

The tombstone says when, and how far its versions and epochs went; who it was it says only by the derived id. Whoever
held the instance is fenced by that transaction, and what comes to its address later begins a fresh one above both, so
that nothing that is still under way for the old one can be taken for the new one's. The rest of a long journal, which
nobody can read any more, is deleted in batches behind it.
"""

from __future__ import annotations

import time
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass

from trunkline.domain.codec import dumps
from trunkline.domain.errors import ErasureRefused, RunEnded, UnknownInstance, UnknownRun
from trunkline.domain.ids import instance_id
from trunkline.domain.letters import answer, cancel_asked
from trunkline.domain.mail import Envelope
from trunkline.domain.snapshot import Snapshot
from trunkline.store import bonds
from trunkline.store.accept import accept_in
from trunkline.store.database import Connection, Database
from trunkline.store.permitted import permitted
from trunkline.store.runs import ERASED

ROLE = "trunkline_erasure"
BATCH = 10_000  # journal entries
PATIENCE = 5.0  # seconds that the caller waits for the rest of a long journal

_MAKE = """
insert into instances (id, tenant, agent, key, head, epoch)
select m.instance, m.tenant, m.agent, m.key, coalesce(t.version, 0), coalesce(t.epoch + 1, 0)
from mailbox m
left join lateral (
    select max(version) as version, max(epoch) as epoch from tombstones where instance = m.instance
) t on true
where m.instance = %s limit 1
on conflict do nothing
"""
_LOCK = "select head, epoch, owner from instances where id = %s for update"
_BURIED = """
select extract(epoch from erased_at)::float8, purged_at is not null from tombstones
where instance = %s order by epoch desc limit 1
"""

# The children that only its open runs know: nobody is left to answer.
_PRIVATE = """
select s.run::text, s.body->>'key', s.body->'options'->>'agent', s.body->'options'->>'key'
from runs r
join journal s on s.instance = r.instance and s.run = r.id and s.version >= r.first_version
where r.instance = %(id)s and r.ended_at is null
  and s.type = 'StepScheduled' and s.body->>'kind' = 'agent' and s.body->'options'->>'private' = 'true'
  and not exists (
    select from journal e
    where e.instance = s.instance and e.version > s.version and e.run = s.run
      and e.type in ('StepCompleted', 'StepFailed', 'StepCancelled') and e.body->>'key' = s.body->>'key')
"""

_ITS = "select id::text from runs where instance = %s and ended_at is null"

# One statement, so that all of it sees the same mail and the same runs: what is accepted meanwhile belongs to whoever
# comes next. Of its runs only ids and times stay, for those who hold the ids.
_ERASE = """
with its as (
    select id, ended_at from runs where instance = %(id)s and key <> ''
),
mail as (
    delete from mailbox where instance = %(id)s returning run, kind, body
),
ended as (
    update runs set status = 'failed', key = '', input = null, output = null, error = %(error)s::json,
                    parked_reason = '', parked_detail = '', next_actions = null,
                    first_version = null, last_version = null, ended_at = coalesce(ended_at, now())
    where instance = %(id)s and key <> ''
),
timed as (
    delete from timers where instance = %(id)s
),
asked as (
    delete from approvals where instance = %(id)s
),
kept_aside as (
    delete from payloads where run in (select id from its)
),
dead as (
    delete from dead_letters where tenant = %(tenant)s
       and (subject = %(subject)s or body->>'instance' = %(text)s or body->>'run' in (select id::text from its))
),
buried as (
    insert into tombstones (tenant, instance, epoch, version) values (%(tenant)s, %(id)s, %(epoch)s, %(head)s)
),
forgotten as (
    insert into snapshots (instance, version, body, floor)
    select %(id)s::uuid, %(head)s::bigint, %(snapshot)s::json, %(head)s::bigint where %(head)s::bigint > 0
    on conflict (instance) do update
    set version = excluded.version, body = excluded.body, floor = excluded.floor, created_at = now()
),
gone as (
    delete from instances where id = %(id)s
)
select mail.body->'parent' from mail join its on its.id = mail.run
where mail.kind = 'request' and its.ended_at is null and mail.body->>'parent' is not null
"""

_PURGE = """
with batch as (
    select instance, version from journal where instance = %(id)s and version <= %(head)s
    order by version limit %(limit)s
)
delete from journal j using batch b where j.instance = b.instance and j.version = b.version
"""
_PURGED = "update tombstones set purged_at = now() where instance = %s and version <= %s and purged_at is null"
_UNPURGED = "select instance::text, version from tombstones where purged_at is null order by erased_at limit 1"


@dataclass(frozen=True, slots=True)
class Erased:
    """``erased_at`` in seconds since the epoch; ``purged``: the last of its journal is deleted. ``owner`` held it, and
    ``letters`` are to others that are to be woken; so are ``told`` (tenant, agent, instance), who watched its runs.
    """

    instance: str
    erased_at: float
    purged: bool
    owner: str = ""
    letters: tuple[Envelope, ...] = ()
    told: tuple[bonds.Address, ...] = ()


async def erase(db: Database, tenant: str, agent: str, key: str) -> Erased:
    """Erase the instance at this address. Done again without anything new, it says what was done.

    Raises:
        UnknownInstance: nothing was ever accepted for it.
        ErasureRefused: this database role may not.
        Unreachable: Postgres is away; it is done or not, and may be asked for again.
    """
    id_, deadline = instance_id(tenant, agent, key), time.monotonic() + PATIENCE
    async with _erasing(db) as connection:
        found = await _erase(connection, db.schema, tenant, agent, key)
    while not found.purged and time.monotonic() < deadline:
        await purge(db)
        async with db.connection() as connection:
            row = await (await connection.execute(_BURIED, [id_])).fetchone()
        assert row is not None
        found = Erased(id_, found.erased_at, row[1], found.owner, found.letters, found.told)
    return found


async def purge(db: Database, limit: int = BATCH) -> bool:
    """Delete up to ``limit`` entries of an erased instance that still has some; False when there is none.

    Raises:
        ErasureRefused: this database role may not.
    """
    async with _erasing(db) as connection:
        row = await (await connection.execute(_UNPURGED)).fetchone()
        if row is not None:
            await _purge(connection, row[0], row[1], limit)
    return row is not None


async def _erase(connection: Connection, schema: str, tenant: str, agent: str, key: str) -> Erased:
    id_ = instance_id(tenant, agent, key)
    await connection.execute(_MAKE, [id_])
    row = await (await connection.execute(_LOCK, [id_])).fetchone()
    if row is None:
        return await _buried(connection, id_, agent, key)
    head, epoch, owner = row
    children = await (await connection.execute(_PRIVATE, {"id": id_})).fetchall()
    its = [run for [run] in await (await connection.execute(_ITS, [id_])).fetchall()]
    parameters = {
        "id": id_, "text": id_, "tenant": tenant, "subject": f"{agent}/{key}", "head": head, "epoch": epoch + 1,
        "error": dumps(ERASED).decode(), "snapshot": Snapshot(head, None, []).encode(id_).decode(),
    }  # fmt: skip
    waiting = await (await connection.execute(_ERASE, parameters)).fetchall()
    letters = [answer(parent, "erasure", error=ERASED) for [parent] in waiting]
    await accept_in(connection, letters, schema=schema)
    reason = "the instance that asked was erased"
    for run, step, asked, its_key in children:
        with suppress(RunEnded, UnknownRun):  # it has answered already, or was never asked
            letter = cancel_asked(run, step, tenant=tenant, agent=asked, key=its_key, reason=reason)
            await accept_in(connection, [letter], schema=schema)
            letters.append(letter)
    told = await bonds.part(connection, its)
    await _purge(connection, id_, head, BATCH)
    found = await _buried(connection, id_, agent, key)
    return Erased(id_, found.erased_at, found.purged, owner or "", tuple(letters), tuple(told))


async def _buried(connection: Connection, id_: str, agent: str, key: str) -> Erased:
    row = await (await connection.execute(_BURIED, [id_])).fetchone()
    if row is None:
        raise UnknownInstance(agent=agent, key=key)
    return Erased(id_, row[0], row[1])


async def _purge(connection: Connection, id_: str, head: int, limit: int) -> None:
    cursor = await connection.execute(_PURGE, {"id": id_, "head": head, "limit": limit})
    if cursor.rowcount < limit:
        await connection.execute(_PURGED, [id_, head])


def _erasing(db: Database) -> AbstractAsyncContextManager[Connection]:
    """A transaction that may erase.

    Raises:
        ErasureRefused: this database role may not.
    """
    return permitted(db, "erasure", longest=60, patience=10, refused=_refused)


def _refused(reason: str) -> ErasureRefused:
    return ErasureRefused(reason=reason, role=ROLE)
