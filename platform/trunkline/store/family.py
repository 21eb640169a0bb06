"""A run with all that it spawned and asked for, and what these did: a tree, bounded in depth and number."""

from __future__ import annotations

from typing import Any

from trunkline.domain.errors import UnknownRun
from trunkline.domain.ids import is_id
from trunkline.store.database import Database

DEPTH = 20
MOST = 1000  # runs

_TREE = """
with recursive family as (
    (select r.id, r.parent_run, 0 as depth from runs r where r.id = %(run)s and r.tenant = %(tenant)s)
    union all
    select c.id, c.parent_run, f.depth + 1
    from family f
    cross join lateral (
        select id, parent_run from runs
        where parent_run = f.id and tenant = %(tenant)s order by created_at, id limit %(most)s
    ) c
    where f.depth < %(depth)s
)
select r.id::text, coalesce(f.parent_run::text, ''), f.depth, r.agent, r.key, r.status, r.error, r.parked_reason,
       extract(epoch from r.created_at)::float8, extract(epoch from r.ended_at)::float8
from (select * from family limit %(most)s + 1) f join runs r on r.id = f.id
order by f.depth, r.created_at, r.id
"""
_COLUMNS = ("id", "parent_run", "depth", "agent", "key", "status", "error", "parked_reason", "created_at", "ended_at")


async def tree(db: Database, tenant: str, run: str, *, depth: int = DEPTH, most: int = MOST) -> dict[str, Any]:
    """The run's row (``_COLUMNS``, times in seconds since the epoch) with its ``children``, each such a row with its
    own, in the order of acceptance. ``depth`` counts generations, ``most`` runs; ``more`` says that there are others.

    Raises:
        UnknownRun: the tenant has no such run, or ``run`` is not a run's id at all.
    """
    if not is_id(run):
        raise UnknownRun(run=run)
    async with db.connection() as connection:
        most = min(most, MOST)
        parameters = {"run": run, "tenant": tenant, "depth": min(depth, DEPTH), "most": most}
        rows = await (await connection.execute(_TREE, parameters)).fetchall()
    if not rows:
        raise UnknownRun(run=run)
    nodes = {row[0]: {**dict(zip(_COLUMNS, row, strict=True)), "children": []} for row in rows[:most]}
    for node in nodes.values():
        if node["depth"] and node["parent_run"] in nodes:
            nodes[node["parent_run"]]["children"].append(node)
    return {**nodes[rows[0][0]], "more": len(rows) > most}
