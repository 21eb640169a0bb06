"""Leases: which worker may append to an instance. Every taking raises the epoch, which fences whoever had it before.

A lease has no term of its own: it ends when its worker gives it back, or is declared dead (``reclaim``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from sys import intern
from typing import Any

from trunkline.domain.errors import WorkerDead
from trunkline.store import mailbox
from trunkline.store.arrays import BigInts, Ids
from trunkline.store.database import Database
from trunkline.store.statement import Statement


@dataclass(frozen=True, slots=True)
class Lease:
    """What a worker holds: the instance's address, its head when it was taken, and the fencing token."""

    instance: str
    tenant: str
    agent: str
    key: str
    head: int
    epoch: int
    takeovers: int


@dataclass(frozen=True, slots=True)
class Held:
    """An instance that is somebody's already. ``owner`` is empty while its row is locked: soon it can be told."""

    instance: str
    owner: str


# A row that somebody has locked (an erasure may for long) is passed over: it would hold up all the others.
# The worker's own row is locked against being declared dead meanwhile. ``present`` is empty when it is not alive.
# Nobody waits until this is on disk: whatever is written under the lease comes after it in the log, and if it is lost
# with a server's death, so is all that; the owner and the epoch still tell its holder from any other.
_TAKE = Statement("""
with hurried as (
    select set_config('synchronous_commit', 'off', true)
),
present as (
    select from workers where id = %(worker)s and dead_at is null and left_at is null for share
),
free as (
    select id from instances
    where id = any(%(instances)s) and (owner is null or owner = %(worker)s) and exists (select from present)
      and (shunned_until is null or shunned_until <= clock_timestamp())
    order by id for no key update skip locked
),
taken as (
    update instances i set owner = %(worker)s, epoch = i.epoch + 1
    from free where i.id = any(%(instances)s) and i.id = free.id
    returning i.id, i.tenant, i.agent, i.key, i.head, i.epoch, i.takeovers
),
made as (  -- an instance that has mail and was never taken up
    insert into instances as i (id, tenant, agent, key, owner, head, epoch)
    select distinct on (m.instance) m.instance, m.tenant, m.agent, m.key, %(worker)s,
           coalesce(t.version, 0), coalesce(t.epoch, 0) + 1  -- above all of those that were erased
    from mailbox m
    left join lateral (
        select max(version) as version, max(epoch) as epoch from tombstones where instance = m.instance
    ) t on true
    where m.instance = any(%(instances)s) and m.taken_at is null and exists (select from present)
      and (select true from instances where id = m.instance limit 1) is null
    order by m.instance
    on conflict do nothing
    returning i.id, i.tenant, i.agent, i.key, i.head, i.epoch, i.takeovers
)
select exists (select from present), id::text, tenant, agent, key, head, epoch, takeovers
from hurried left join (table taken union all table made) as leases on true
""")

_HELD = """
select id::text, coalesce(nullif(owner, %(worker)s), '') from instances
where id = any(%(instances)s)
  and (owner <> %(worker)s or shunned_until is null or shunned_until <= clock_timestamp())
"""

_RELEASE = """
with mine as (
    select i.id from instances i join unnest(%(instances)s, %(epochs)s) as l(id, epoch) using (id)
    where i.owner = %(worker)s and i.epoch = l.epoch
    order by i.id for no key update of i
)
update instances i set owner = null from mine where i.id = mine.id returning i.id::text
"""


async def take(db: Database, worker: str, instances: Sequence[str]) -> tuple[list[Lease], list[Held]]:
    """Take those of ``instances`` that nobody else owns, each at its next epoch, and say who owns the others.

    One that is leased to ``worker`` already is taken anew: the worker asks because it does not know so (the answer to
    an earlier taking was lost, or its activation was dropped).

    One that has mail and was never taken up comes into being here. (One that is being erased at this very moment does
    not: the database takes its row away again, and nothing can be appended under the lease.) Ids without mail are
    passed over, and so is one that is shunned (``blocks``). One whose row is locked, or that was let go just now, is
    nobody's in the answer: ask again.

    Raises:
        WorkerDead: ``worker`` has not joined, has left or was declared dead; nothing is taken.
    """
    if not instances:
        return [], []
    rows = await db.lookups.rows(_TAKE, {"worker": worker, "instances": Ids(instances)})
    if not rows[0][0]:
        raise WorkerDead(worker=worker)
    leases = [_lease(*row[1:]) for row in rows if row[1] is not None]
    missing = set(instances) - {lease.instance for lease in leases}
    if not missing:
        return leases, []
    async with db.connection() as connection:
        cursor = await connection.execute(_HELD, {"worker": worker, "instances": Ids(missing)})
        return leases, [Held(*row) for row in await cursor.fetchall()]


def _lease(instance: str, tenant: str, agent: str, *rest: Any) -> Lease:
    """Names that all have in common are kept once."""
    return Lease(instance, intern(tenant), intern(agent), *rest)


async def release(
    db: Database, worker: str, leases: Sequence[tuple[str, int]], *, known: Collection[int] = ()
) -> list[str]:
    """Give back ``leases`` (instance, epoch); those that are not held so are passed over.

    Returns:
        the instances that were given back with mail that nobody took, other than the seqs in ``known``: wake them.
    """
    if not leases:
        return []
    parameters = {
        "worker": worker,
        "instances": Ids(instance for instance, _ in leases),
        "epochs": BigInts(epoch for _, epoch in leases),
    }
    async with db.connection() as connection:
        cursor = await connection.execute(_RELEASE, parameters)
        released = [row[0] for row in await cursor.fetchall()]
        if not released:
            return []
        # Asked after the release is committed: mail that comes later finds the instance free.
        return await mailbox.waiting(connection, released, known)


async def owner_of(db: Database, instance: str) -> str | None:
    """The worker that holds ``instance``, if any does."""
    async with db.connection() as connection:
        cursor = await connection.execute("select owner from instances where id = %s", [instance])
        row = await cursor.fetchone()
    return row[0] if row else None


async def held_by(db: Database, worker: str) -> list[tuple[str, str, str]]:
    """(tenant, agent, instance) of everything that ``worker`` holds."""
    async with db.connection() as connection:
        cursor = await connection.execute(
            "select tenant, agent, id::text from instances where owner = %s order by id", [worker]
        )
        return await cursor.fetchall()
