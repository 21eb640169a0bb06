"""Leadership as a row lease with an epoch. (Advisory locks do not survive transaction pooling.)"""

from __future__ import annotations

from typing import NamedTuple

from trunkline.store.database import Database

_ACQUIRE = """
insert into leaders (name, owner, epoch, until_at)
values (%(name)s, %(owner)s, 1, clock_timestamp() + %(ttl)s * interval '1 second')
on conflict (name) do update
set owner = excluded.owner, epoch = leaders.epoch + 1, until_at = excluded.until_at
where leaders.until_at <= clock_timestamp() or leaders.owner = excluded.owner
returning epoch
"""


RENEW = """
update leaders set until_at = clock_timestamp() + %(ttl)s * interval '1 second'
where name = %(name)s and owner = %(owner)s and epoch = %(epoch)s and until_at > clock_timestamp()
"""


class Lead(NamedTuple):
    """Leadership as it was acquired: ``owner`` leads ``name`` under ``epoch``, for ``ttl`` seconds at a time."""

    name: str
    owner: str
    epoch: int
    ttl: float


NOBODY = Lead("", "", 0, 0.0)


async def acquire(db: Database, name: str, owner: str, ttl: float) -> int | None:
    """Lead ``name`` for ``ttl`` seconds, under a new epoch. ``None``: somebody else does."""
    async with db.connection() as connection:
        cursor = await connection.execute(_ACQUIRE, {"name": name, "owner": owner, "ttl": ttl})
        row = await cursor.fetchone()
    return row[0] if row else None


async def renew(db: Database, name: str, owner: str, epoch: int, ttl: float) -> bool:
    """Lead on for ``ttl`` seconds from now. False: the lease has run out, or passed to somebody else."""
    async with db.connection() as connection:
        cursor = await connection.execute(RENEW, Lead(name, owner, epoch, ttl)._asdict())
    return cursor.rowcount == 1


async def resign(db: Database, name: str, owner: str, epoch: int) -> None:
    """Lead no longer. The row stays, so that epochs go on growing."""
    async with db.connection() as connection:
        await connection.execute(
            "update leaders set until_at = clock_timestamp() where name = %s and owner = %s and epoch = %s",
            [name, owner, epoch],
        )
