"""All that an agent worker keeps at hand of what others decide, in one statement: each asks it every second."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from trunkline.store.arrays import Texts
from trunkline.store.database import Database


class AtHand(NamedTuple):
    """``subscriptions`` of all tenants, each as (tenant, agent, event type, key, handler); the ``current`` version of
    each agent that was asked about; and which agents are ``paused``.
    """

    subscriptions: list[tuple[str, str, str, str, str]]
    current: dict[str, int]
    paused: list[str]


_LOOK = """
select
    (select coalesce(json_agg(json_build_array(tenant, agent, event_type, key_path, handler)
                              order by tenant, event_type, agent, handler), '[]') from subscriptions),
    (select coalesce(json_object_agg(name, version), '{}') from (
        select distinct on (name) name, version from deployments
        where tenant = %(tenant)s and kind = 'agent' and name = any(%(agents)s) order by name, seq desc) pointed),
    (select coalesce(json_agg(agent), '[]') from pauses where tenant = %(tenant)s)
"""


async def look(db: Database, tenant: str, agents: Iterable[str]) -> AtHand:
    """
    Raises:
        Unreachable: Postgres is away.
    """
    async with db.connection() as connection:
        cursor = await connection.execute(_LOOK, {"tenant": tenant, "agents": Texts(agents)})
        [row] = await cursor.fetchall()
    return AtHand(*row)
