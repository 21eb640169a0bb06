"""Paused agents: what is asked of them is accepted, and waits; runs that have begun go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trunkline.store.arrays import Ids
from trunkline.store.database import Database

MOST_WOKEN = 10_000  # instances that a worker looks at when their agent goes on; the supervisor wakes the others


@dataclass(frozen=True, slots=True)
class Pause:
    """``at`` is in seconds since the epoch, by Postgres's clock."""

    reason: str
    at: float


# What would begin a run rests, unless the run has a deadline that is no timer yet; any other mail is for a run that has
# begun, or ends one that has not.
_RESTING = """
select i.id::text from unnest(%(instances)s) as i(id)
where not exists (
    select from mailbox m
    where m.instance = i.id and m.taken_at is null and not (
        m.kind in ('request', 'event') and (
            m.body->>'deadline' is null
            or exists (select from timers t where t.instance = m.instance and t.run = m.run))))
  and not exists (
    select from runs r where r.instance = i.id and r.status in ('running', 'waiting', 'parked'))
"""


async def pause(db: Database, tenant: str, agent: str, reason: str) -> None:
    """From now on no run of the agent begins. One that is paused already gets the new reason."""
    async with db.connection() as connection:
        await connection.execute(
            "insert into pauses (tenant, agent, reason) values (%s, %s, %s)"
            " on conflict (tenant, agent) do update set reason = excluded.reason",
            [tenant, agent, reason],
        )


async def resume(db: Database, tenant: str, agent: str) -> bool:
    """Runs of the agent begin again. Returns whether it was paused."""
    async with db.connection() as connection:
        cursor = await connection.execute("delete from pauses where tenant = %s and agent = %s", [tenant, agent])
    return cursor.rowcount == 1


async def waiting(db: Database, tenant: str, agent: str) -> list[str]:
    """Up to ``MOST_WOKEN`` of the agent's instances that have mail, and were not taken up."""
    sql = "select distinct instance::text from mailbox where taken_at is null and tenant = %s and agent = %s limit %s"
    async with db.connection() as connection:
        cursor = await connection.execute(sql, [tenant, agent, MOST_WOKEN])
        return [instance for (instance,) in await cursor.fetchall()]


async def paused(db: Database, tenant: str) -> dict[str, Pause]:
    """The tenant's paused agents, by name."""
    async with db.connection() as connection:
        cursor = await connection.execute(
            "select agent, reason, extract(epoch from paused_at)::float8 from pauses where tenant = %s", [tenant]
        )
        return {agent: Pause(reason, at) for agent, reason, at in await cursor.fetchall()}


async def resting(db: Database, instances: Sequence[str]) -> set[str]:
    """Those of ``instances``, all of paused agents, of which nothing has begun and nothing else is asked."""
    async with db.connection() as connection:
        cursor = await connection.execute(_RESTING, {"instances": Ids(instances)})
        return {instance for (instance,) in await cursor.fetchall()}
