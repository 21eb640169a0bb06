"""What keeps an accepted run from being stuck: instances of workers that are gone, and runs that nobody drives."""

from __future__ import annotations

from trunkline.domain.ids import FIRST_ID
from trunkline.store.database import Database

# A worker that died counts as a takeover; one that said goodbye (and could not give back all in time) does not.
_RECLAIM = """
with gone as (
    select dead_at is not null as died from workers
    where id = %(worker)s and (dead_at is not null or left_at is not null)
),
theirs as (
    select id, epoch, blocks_epoch = epoch and (select died from gone) as blocks from instances
    where owner = %(worker)s and exists (select from gone)
    order by id limit %(limit)s for no key update
)
update instances i
set owner = null, epoch = i.epoch + 1, takeovers = i.takeovers + (select died::integer from gone),
    shunned_until = case when t.blocks and i.takeovers + 1 < %(takeovers)s  -- beyond that it is only parked
                    then clock_timestamp() + %(shun)s * power(2, i.takeovers) * interval '1 second' end
from theirs t
where i.id = t.id and i.owner = %(worker)s and i.epoch = t.epoch
returning i.tenant, i.agent, i.id::text, t.blocks is true, i.takeovers
"""

_STALLED = """
select distinct on (i.id) i.tenant, i.agent, i.id::text
from runs r join instances i on i.id = r.instance
where r.status = 'running' and i.owner is null
  and i.progress_at < clock_timestamp() - %(age)s * interval '1 second' and r.instance > %(after)s
order by i.id limit %(limit)s
"""


async def reclaim(
    db: Database, worker: str, limit: int = 1000, *, shun: float = 5.0, takeovers: int = 3
) -> list[tuple[str, str, str, bool, int]]:
    """Free up to ``limit`` instances of ``worker``, which was declared dead or has left, fencing what it still sends.

    Nothing is freed of a worker that is neither: it may be alive. One whose code blocked the worker to death
    (``blocks``) is taken up by nobody for ``shun`` seconds, and twice as long each time; from ``takeovers`` on, where
    its code is not run again, it is free at once.

    Returns:
        (tenant, agent, instance, whether its code blocked the worker, takeovers since its last progress) of each; wake
        them.
    """
    async with db.connection() as connection:
        parameters = {"worker": worker, "limit": limit, "shun": shun, "takeovers": takeovers}
        cursor = await connection.execute(_RECLAIM, parameters)
        return await cursor.fetchall()


async def stalled(
    db: Database, older_than: float, limit: int = 1000, *, after: str = FIRST_ID
) -> list[tuple[str, str, str]]:
    """(tenant, agent, instance) where a run is running, but no worker has the instance, for ``older_than`` seconds.

    ``limit`` bounds one answer; go on with the last instance as ``after``, so that none is passed over for ever.
    """
    async with db.connection() as connection:
        cursor = await connection.execute(_STALLED, {"age": older_than, "limit": limit, "after": after})
        return await cursor.fetchall()
