"""Reading mailboxes. Rows come by ``accept``, ``append`` and due timers, and are taken by the owner's ``append``.

There is no "after this seq": a row with a lower seq may be committed later. A reader names what it has instead.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from trunkline.domain.ids import FIRST_ID
from trunkline.domain.mail import Mail
from trunkline.domain.status import EnvelopeKind
from trunkline.store.arrays import BigInts, Ids
from trunkline.store.database import Connection, Database
from trunkline.store.statement import Statement

PAGE = 1000  # letters of one instance in one reading

# Of a letter ``b``. What is known is looked up in a hash of it: there may be as much of it as there is mail.
_NEW = "b.taken_at is null and b.seq not in (select unnest(%(known)s))"

_PENDING = Statement(f"""
select m.seq, m.instance::text, m.message_id, m.kind, m.run::text, m.body
from unnest(%(instances)s) as i(id)
cross join lateral (
    select * from mailbox b
    where b.instance = i.id and {_NEW}
    order by b.seq limit %(page)s
) m
order by m.instance, m.seq
""")  # noqa: S608 — a constant of ours

_WAITING = f"""
select i.id::text from unnest(%(instances)s) as i(id)
where exists (select from mailbox b where b.instance = i.id and {_NEW})
"""  # noqa: S608 — a constant of ours

_UNTAKEN = """
with recursive walk as (
    (select instance, tenant, agent, created_at from mailbox
     where taken_at is null and instance > %(after)s order by instance, seq limit 1)
    union all
    select next.* from walk cross join lateral (
        select instance, tenant, agent, created_at from mailbox
        where taken_at is null and instance > walk.instance order by instance, seq limit 1) next
)
select tenant, agent, instance::text from walk
where created_at < clock_timestamp() - %(age)s * interval '1 second'
limit %(limit)s
"""


async def pending(
    db: Database, instances: Sequence[str], known: Collection[int] = (), *, page: int = PAGE
) -> dict[str, list[Mail]]:
    """The letters that nobody took, oldest first, by instance; without the seqs in ``known``.

    At most ``page`` of an instance: when there are as many, come again with these in ``known``.
    """
    found: dict[str, list[Mail]] = {instance: [] for instance in instances}
    if not found:
        return found
    rows = await db.lookups.rows(_PENDING, {"instances": Ids(found), "known": BigInts(known), "page": page})
    for seq, instance, message_id, kind, run, body in rows:
        found[instance].append(Mail(seq, instance, message_id, EnvelopeKind(kind), run or "", body))
    return found


async def waiting(connection: Connection, instances: Sequence[str], known: Collection[int]) -> list[str]:
    """Those of ``instances`` with letters that nobody took, other than the seqs in ``known``."""
    cursor = await connection.execute(_WAITING, {"instances": Ids(instances), "known": BigInts(known)})
    return [row[0] for row in await cursor.fetchall()]


async def untaken(db: Database, older_than: float, limit: int, *, after: str = FIRST_ID) -> list[tuple[str, str, str]]:
    """(tenant, agent, instance) of those whose oldest letter has waited ``older_than`` seconds, by instance id.

    ``limit`` bounds one answer; go on with the last instance as ``after``, so that none is passed over for ever.
    """
    async with db.connection() as connection:
        cursor = await connection.execute(_UNTAKEN, {"age": older_than, "limit": limit, "after": after})
        return await cursor.fetchall()
