"""What the workers declare: agents and tools, versioned by the digest of their specs, and which events wake whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from trunkline.domain.codec import digest, dumps
from trunkline.domain.specs import AgentSpec, Subscription, ToolSpec
from trunkline.store import schedules
from trunkline.store.arrays import Texts
from trunkline.store.database import Connection, Database

Kind = Literal["agent", "tool"]


@dataclass(frozen=True, slots=True)
class Definition:
    """The newest version of a declaration; ``body`` is its spec as JSON."""

    kind: Kind
    name: str
    version: int
    app: str
    body: dict[str, Any]

    @property
    def agent(self) -> AgentSpec:
        return AgentSpec.model_validate(self.body)

    @property
    def tool(self) -> ToolSpec:
        return ToolSpec.model_validate(self.body)


_CURRENT = """
select distinct on (kind, name) kind, name, version, app, body from definitions
where tenant = %(tenant)s and kind = %(kind)s and (%(name)s::text is null or name = %(name)s)
order by kind, name, version desc
"""

_PUBLISH = """
with given as (
    select * from unnest(%(kinds)s, %(names)s, %(digests)s, %(apps)s, %(bodies)s) as g(kind, name, digest, app, body)
),
newest as (
    select distinct on (d.kind, d.name) d.kind, d.name, d.version, d.digest
    from definitions d join given g using (kind, name)
    where d.tenant = %(tenant)s
    order by d.kind, d.name, d.version desc
),
added as (
    insert into definitions (tenant, kind, name, version, digest, app, body)
    select %(tenant)s, g.kind, g.name, coalesce(n.version, 0) + 1, g.digest, g.app, g.body::json
    from given g left join newest n using (kind, name)
    where n.digest is distinct from g.digest
    returning kind, name, version
)
select kind, name, version from added
union all
select kind, name, version from newest where (kind, name) not in (select kind, name from added)
"""

_SUBSCRIBE = """
with given as (
    select * from unnest(%(types)s, %(agents)s, %(handlers)s, %(apps)s, %(keys)s)
        as g(event_type, agent, handler, app, key_path)
),
dropped as (
    delete from subscriptions s
    where s.tenant = %(tenant)s and s.agent = any(%(declared)s)
      and not exists (select from given g where (g.event_type, g.agent, g.handler) = (s.event_type, s.agent, s.handler))
)
insert into subscriptions (tenant, event_type, agent, handler, app, key_path)
select distinct on (event_type, agent, handler) %(tenant)s, event_type, agent, handler, app, key_path from given
on conflict (tenant, event_type, agent, handler)
do update set app = excluded.app, key_path = excluded.key_path
where (subscriptions.app, subscriptions.key_path) is distinct from (excluded.app, excluded.key_path)
"""


async def publish(
    db: Database, tenant: str, agents: Sequence[AgentSpec], tools: Sequence[ToolSpec], *, ahead: float = 0.0
) -> dict[tuple[Kind, str], int]:
    """Declare ``agents`` with their subscriptions and schedules, and ``tools``; what is declared already keeps its
    version. ``ahead`` is by how many seconds schedules are told another time than Postgres's; only tests set it.

    Returns:
        the version of each, by (kind, name).
    """
    specs: list[tuple[Kind, AgentSpec | ToolSpec]] = [("agent", spec) for spec in agents]
    specs += [("tool", spec) for spec in tools]
    if not specs:
        return {}
    async with db.connection() as connection, connection.transaction():
        await connection.execute(
            "select pg_advisory_xact_lock(hashtextextended('trunkline publish ' || %s, 0))", [tenant]
        )
        versions = await _publish(connection, tenant, specs)
        await _subscribe(connection, tenant, agents)
        if agents:
            await schedules.declare(connection, tenant, agents, ahead=ahead)
    return versions


async def current(db: Database, tenant: str, kind: Kind, name: str | None = None) -> dict[str, Definition]:
    """The newest version of each agent or tool of ``tenant``, by name; of ``name`` alone when it is given."""
    async with db.connection() as connection:
        cursor = await connection.execute(_CURRENT, {"tenant": tenant, "kind": kind, "name": name})
        return {row[1]: Definition(*row) for row in await cursor.fetchall()}


async def subscriptions(db: Database, tenant: str | None = None) -> dict[str, list[Subscription]]:
    """Who is woken by which events, by tenant; of ``tenant`` alone when it is given."""
    async with db.connection() as connection:
        cursor = await connection.execute(
            "select tenant, agent, event_type, key_path, handler from subscriptions"
            " where %(tenant)s::text is null or tenant = %(tenant)s order by tenant, event_type, agent, handler",
            {"tenant": tenant},
        )
        found: dict[str, list[Subscription]] = {}
        for of, agent, event_type, key, handler in await cursor.fetchall():
            found.setdefault(of, []).append(Subscription(agent=agent, event_type=event_type, key=key, handler=handler))
    return found


async def _publish(
    connection: Connection, tenant: str, specs: Sequence[tuple[Kind, AgentSpec | ToolSpec]]
) -> dict[tuple[Kind, str], int]:
    bodies = [spec.model_dump(mode="json") for _, spec in specs]
    cursor = await connection.execute(
        _PUBLISH,
        {
            "tenant": tenant,
            "kinds": Texts(kind for kind, _ in specs),
            "names": Texts(spec.name for _, spec in specs),
            "digests": Texts(map(digest, bodies)),
            "apps": Texts(spec.app for _, spec in specs),
            "bodies": Texts(map(dumps, bodies)),
        },
    )
    return {(kind, name): version for kind, name, version in await cursor.fetchall()}


async def _subscribe(connection: Connection, tenant: str, agents: Sequence[AgentSpec]) -> None:
    given = [(subscription, spec) for spec in agents for subscription in spec.subscriptions]
    await connection.execute(
        _SUBSCRIBE,
        {
            "tenant": tenant,
            "declared": Texts(spec.name for spec in agents),
            "types": Texts(subscription.event_type for subscription, _ in given),
            "agents": Texts(spec.name for _, spec in given),
            "handlers": Texts(subscription.handler for subscription, _ in given),
            "apps": Texts(spec.app for _, spec in given),
            "keys": Texts(subscription.key for subscription, _ in given),
        },
    )
