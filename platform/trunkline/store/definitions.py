"""What the workers declare: agents and tools, versioned by the digest of their specs, and which events wake whom."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from trunkline.domain.codec import digest, dumps
from trunkline.domain.errors import NotDeployable
from trunkline.domain.specs import AgentSpec, Subscription, ToolSpec
from trunkline.store import deployments, schedules
from trunkline.store.arrays import Ints, Texts
from trunkline.store.database import Connection, Database
from trunkline.store.deployments import Kind, Moved


@dataclass(frozen=True, slots=True)
class Definition:
    """A version of a declaration; ``body`` is its spec as JSON."""

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


# What nobody pointed at (a worker of an earlier release declared it) is current in its newest version.
_CURRENT = """
with pointed as (
    select distinct on (kind, name) kind, name, version from deployments
    where tenant = %(tenant)s order by kind, name, seq desc
)
select distinct on (d.kind, d.name) d.kind, d.name, d.version, d.app, d.body
from definitions d left join pointed p using (kind, name)
where d.tenant = %(tenant)s and d.kind = %(kind)s and (%(name)s::text is null or d.name = %(name)s)
order by d.kind, d.name, (d.version = p.version) desc nulls last, d.version desc
"""

_EXACTLY = """
select d.kind, d.name, d.version, d.app, d.body
from definitions d join unnest(%(names)s, %(versions)s) as w(name, version) using (name, version)
where d.tenant = %(tenant)s and d.kind = 'agent'
"""

_PUBLISH = """
with given as (
    select * from unnest(%(kinds)s, %(names)s, %(digests)s, %(apps)s, %(bodies)s) as g(kind, name, digest, app, body)
),
known as (
    select d.kind, d.name, max(d.version) filter (where d.digest = g.digest) as version, max(d.version) as newest
    from definitions d join given g using (kind, name)
    where d.tenant = %(tenant)s
    group by d.kind, d.name
),
added as (
    insert into definitions (tenant, kind, name, version, digest, app, body)
    select %(tenant)s, g.kind, g.name, coalesce(k.newest, 0) + 1, g.digest, g.app, g.body::json
    from given g left join known k using (kind, name)
    where k.version is null
    returning kind, name, version
)
select kind, name, version from added
union all
select kind, name, version from known where version is not null
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
    """Declare what a worker that starts can do: ``agents`` with their subscriptions and schedules, and ``tools``.

    What was declared before keeps the version that it had then. It becomes current unless somebody has deployed that
    agent, or rolled it back: then only the next deployment moves it. ``ahead`` is by how many seconds schedules are
    told another time than Postgres's; only tests set it.

    Returns:
        the version of each, by (kind, name).
    """
    if not agents and not tools:
        return {}
    async with db.connection() as connection, connection.transaction():
        await deployments.lock(connection, tenant)
        versions = await _publish(connection, tenant, agents, tools)
        for kind in ("agent", "tool"):
            of_kind = {name: version for (each, name), version in versions.items() if each == kind}
            await deployments.point(connection, tenant, kind, of_kind, "start")
        await _subscribe(connection, tenant, agents)
        if agents:
            await schedules.declare(connection, tenant, agents, ahead=ahead)
    return versions


async def deploy(db: Database, tenant: str, agents: Sequence[AgentSpec]) -> list[Moved]:
    """Make the definitions of ``agents`` current, for the runs that begin from now on; returns those that were not.

    Tools and events are taken up by workers when they start: those are code.

    Raises:
        NotDeployable: an agent that is at work would use a tool that no worker has declared.
    """
    async with db.connection() as connection, connection.transaction():
        await deployments.lock(connection, tenant)
        await _check_tools(connection, tenant, agents)
        versions = await _publish(connection, tenant, agents, ())
        current = {name: version for (_, name), version in versions.items()}
        return await deployments.point(connection, tenant, "agent", current, "deploy")


async def current(db: Database, tenant: str, kind: Kind, name: str | None = None) -> dict[str, Definition]:
    """The current version of each agent or tool of ``tenant``, by name; of ``name`` alone when it is given."""
    async with db.connection() as connection:
        cursor = await connection.execute(_CURRENT, {"tenant": tenant, "kind": kind, "name": name})
        return {row[1]: Definition(*row) for row in await cursor.fetchall()}


async def exactly(db: Database, tenant: str, wanted: Collection[tuple[str, int]]) -> list[Definition]:
    """The definitions of agents in just these versions, (name, version); what is not there is left out."""
    if not wanted:
        return []
    parameters = {
        "tenant": tenant,
        "names": Texts(name for name, _ in wanted),
        "versions": Ints(version for _, version in wanted),
    }
    async with db.connection() as connection:
        return [Definition(*row) for row in await (await connection.execute(_EXACTLY, parameters)).fetchall()]


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
    connection: Connection, tenant: str, agents: Sequence[AgentSpec], tools: Sequence[ToolSpec]
) -> dict[tuple[Kind, str], int]:
    specs: list[AgentSpec | ToolSpec] = [*agents, *tools]
    bodies = [spec.model_dump(mode="json") for spec in specs]
    cursor = await connection.execute(
        _PUBLISH,
        {
            "tenant": tenant,
            "kinds": Texts(["agent"] * len(agents) + ["tool"] * len(tools)),
            "names": Texts(spec.name for spec in specs),
            "digests": Texts(map(digest, bodies)),
            "apps": Texts(spec.app for spec in specs),
            "bodies": Texts(map(dumps, bodies)),
        },
    )
    return {(kind, name): version for kind, name, version in await cursor.fetchall()}


async def _check_tools(connection: Connection, tenant: str, agents: Sequence[AgentSpec]) -> None:
    cursor = await connection.execute("select distinct kind, name from definitions where tenant = %s", [tenant])
    declared = set(await cursor.fetchall())
    known = {name for _, name in declared} | {spec.name for spec in agents}
    for spec in agents:
        missing = [tool for tool in spec.tools if tool not in known]
        if missing and ("agent", spec.name) in declared:
            raise NotDeployable(agent=spec.name, tools=", ".join(missing))


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
