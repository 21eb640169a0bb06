"""Which version of a definition is current: a history that only grows, and whose newest row of a name counts.

Workers move it when they start, but only until somebody deploys or rolls back: from then on nobody else does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from trunkline.domain.errors import UnknownVersion
from trunkline.store.arrays import Ints, Texts
from trunkline.store.database import Connection, Database

Cause = Literal["start", "deploy", "rollback"]
Kind = Literal["agent", "tool"]


@dataclass(frozen=True, slots=True)
class Moved:
    """``version`` of ``name`` is current now; ``previous`` is what a rollback would make current, if anything."""

    name: str
    version: int
    previous: int | None


@dataclass(frozen=True, slots=True)
class Version:
    """A version of an agent's definition. ``cause`` and ``since`` (seconds since the epoch) tell when and by what it
    last became current, and ``previous`` what a rollback from it leads to; empty for one that never was.
    """

    agent: str
    version: int
    app: str
    digest: str
    created_at: float
    current: bool
    cause: str
    since: float | None
    previous: int | None


_POINT = """
with given as (
    select * from unnest(%(names)s, %(versions)s) as g(name, version)
),
pointed as (
    select distinct on (d.name) d.name, d.version, d.previous, d.cause
    from deployments d join given g using (name)
    where d.tenant = %(tenant)s and d.kind = %(kind)s
    order by d.name, d.seq desc
),
noted as (
    insert into deployments (tenant, kind, name, version, previous, cause)
    select %(tenant)s, %(kind)s, g.name, g.version,
           case when %(cause)s = 'rollback' then (
               select d.previous from deployments d
               where (d.tenant, d.kind, d.name, d.version) = (%(tenant)s, %(kind)s, g.name, g.version)
                 and d.cause <> 'rollback'
               order by d.seq desc limit 1
           ) when p.version = g.version then p.previous else p.version end,
           %(cause)s
    from given g left join pointed p using (name)
    where p.version is null
       or (p.version <> g.version and (%(cause)s <> 'start' or p.cause = 'start'))
       or (p.cause = 'start' and %(cause)s <> 'start')
    returning name, version, previous
)
select n.name, n.version, n.previous from noted n left join pointed p using (name)
where n.version is distinct from p.version order by n.name
"""

_VERSIONS = """
with pointed as (
    select distinct on (name, version) name, version, cause, created_at, previous, seq from deployments
    where tenant = %(tenant)s and kind = 'agent' and (%(agent)s::text is null or name = %(agent)s)
    order by name, version, seq desc
),
newest as (
    select distinct on (name) name, version from pointed order by name, seq desc
)
select d.name, d.version, d.app, d.digest, extract(epoch from d.created_at)::float8, n.version is not null,
       coalesce(p.cause, ''), extract(epoch from p.created_at)::float8, p.previous
from definitions d left join pointed p using (name, version) left join newest n using (name, version)
where d.tenant = %(tenant)s and d.kind = 'agent' and (%(agent)s::text is null or d.name = %(agent)s)
  and (%(agent)s::text is not null or n.version is not null)
order by d.name, d.version desc limit %(limit)s
"""


async def point(
    connection: Connection, tenant: str, kind: Kind, versions: Mapping[str, int], cause: Cause
) -> list[Moved]:
    """Make ``versions`` (by name) current, and return those that were not. A start moves only what nobody deployed."""
    parameters = {
        "tenant": tenant,
        "kind": kind,
        "cause": cause,
        "names": Texts(versions),
        "versions": Ints(versions.values()),
    }
    return [Moved(*row) for row in await (await connection.execute(_POINT, parameters)).fetchall()]


async def lock(connection: Connection, tenant: str) -> None:
    """One at a time declares, deploys or rolls back, until the transaction ends."""
    await connection.execute("select pg_advisory_xact_lock(hashtextextended('trunkline publish ' || %s, 0))", [tenant])


async def roll_back(db: Database, tenant: str, versions: Mapping[str, int]) -> list[Moved]:
    """Make earlier versions of agents current again; returns those that were not.

    Raises:
        UnknownVersion: an agent has no such version; nothing was moved.
    """
    async with db.connection() as connection, connection.transaction():
        await lock(connection, tenant)
        cursor = await connection.execute(
            "select name, version from definitions where tenant = %s and kind = 'agent' and name = any(%s)",
            [tenant, Texts(versions)],
        )
        known = set(await cursor.fetchall())
        for agent, version in versions.items():
            if (agent, version) not in known:
                raise UnknownVersion(agent=agent, version=version)
        return await point(connection, tenant, "agent", versions, "rollback")


async def versions(db: Database, tenant: str, agent: str | None = None, *, limit: int = 1000) -> list[Version]:
    """The current version of every agent; or all versions of ``agent``, the newest first."""
    async with db.connection() as connection:
        cursor = await connection.execute(_VERSIONS, {"tenant": tenant, "agent": agent, "limit": limit})
        return [Version(*row) for row in await cursor.fetchall()]
