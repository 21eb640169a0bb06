"""Reading runs. Their rows come with the request (``accept``, or an ``append`` that asks); ``append`` changes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trunkline.domain.codec import dumps
from trunkline.domain.errors import UnknownRun
from trunkline.domain.ids import instance_id, is_id
from trunkline.domain.status import RunStatus
from trunkline.store import pages
from trunkline.store.arrays import Ids, Texts
from trunkline.store.database import Database


@dataclass(frozen=True, slots=True)
class Run:
    """A run's row. Times are seconds since the epoch by Postgres's clock. Lists leave out ``input`` and ``output``."""

    id: str
    tenant: str
    instance: str
    agent: str
    key: str
    status: RunStatus
    handler: str
    definition: int
    code: str
    input: Any
    output: Any
    error: dict[str, Any] | None
    usage: dict[str, Any] | None
    cost_usd: float
    parked_reason: str
    parked_detail: str
    next_actions: list[str]
    parent_run: str
    created_at: float
    started_at: float | None
    ended_at: float | None
    deadline: float | None
    restarts: int
    waits_because: str = ""  # an agent is paused: its own, so that it does not begin, or that of a run that it asked


_WAITING = (RunStatus.ACCEPTED, RunStatus.RUNNING, RunStatus.WAITING)
ERASED = {"type": "Erased", "message": "the instance was erased", "retryable": False}

# However deep it stands among the runs that were asked on its behalf, and as far as a look at a page of runs may go.
_ASKED = """
with recursive asked as (
    select c.id, c.agent, c.status from runs c
    where runs.status in ('running', 'waiting') and c.parent_run = runs.id and c.ended_at is null
    union all
    select c.id, c.agent, c.status from asked a join runs c on c.parent_run = a.id and c.ended_at is null
)
select 'it asked run ' || a.id || ', and the agent ' || a.agent || ' is paused: ' || p.reason
from (select * from asked limit 1000) a join pauses p on p.tenant = runs.tenant and p.agent = a.agent
where a.status = 'accepted' limit 1
"""
_ROW = """
select id::text, tenant, instance::text, agent, key, status, handler, definition, code, {values}, error, usage,
       cost_usd::float8, parked_reason, parked_detail, coalesce(next_actions, '[]'), coalesce(parent_run::text, ''),
       extract(epoch from created_at)::float8, extract(epoch from started_at)::float8,
       extract(epoch from ended_at)::float8, extract(epoch from deadline)::float8, restarts
"""
_BECAUSE = f"""
coalesce((select 'its agent is paused: ' || p.reason from pauses p
          where runs.status = 'accepted' and p.tenant = runs.tenant and p.agent = runs.agent), ({_ASKED}), '')
"""  # noqa: S608 — a constant of ours
_WHOLE = _ROW.format(values="input, output") + "from runs\n"
_EXPLAINED = _ROW.format(values="input, output") + f", {_BECAUSE} from runs\n"
_WHY = _BECAUSE.join(["select ", " from runs where id = %s"])
_NEWEST = pages.NEWEST.format(table="runs")
_LISTED = _ROW.format(values="null, null") + f", {_BECAUSE}, {pages.MARK} from runs\n"


async def get(db: Database, tenant: str, run: str) -> Run:
    """One run, whole, without ``waits_because``.

    Raises:
        UnknownRun: the tenant has no such run, or ``run`` is not a run's id at all.
    """
    if not is_id(run):
        raise UnknownRun(run=run)
    async with db.connection() as connection:
        cursor = await connection.execute(_WHOLE + "where id = %s and tenant = %s", [run, tenant])
        row = await cursor.fetchone()
    if row is None:
        raise UnknownRun(run=run)
    return _run(row)


async def explained(db: Database, run: Run) -> Run:
    """``run`` with ``waits_because``, which takes Postgres longer to plan than all of ``get``."""
    if run.status not in _WAITING:
        return run
    async with db.connection() as connection:
        cursor = await connection.execute(_WHY, [run.id])
        row = await cursor.fetchone()
    return replace(run, waits_because=row[0] if row else "")


async def list_runs(
    db: Database,
    tenant: str,
    *,
    agent: str | None = None,
    key: str | None = None,
    status: RunStatus | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> tuple[list[Run], str | None]:
    """The tenant's runs, newest first, and the cursor of the next page (``None`` at the end).

    Raises:
        BadInput: ``cursor`` is not one that a list gave out.
    """
    wanted: dict[str, Any] = {"tenant": tenant, "agent": agent, "key": key, "status": status}
    if agent is not None and key is not None:
        wanted["instance"] = instance_id(tenant, agent, key)  # whose runs an index has
    conditions = [f"{name} = %({name})s" for name, value in wanted.items() if value is not None]
    if cursor:
        conditions.append(pages.BEFORE)
        wanted.update(pages.before(cursor))
    sql = f"{_LISTED} where {' and '.join(conditions)} {_NEWEST}"
    async with db.connection() as connection:
        fetched = await connection.execute(sql, {**wanted, "limit": pages.bounded(limit)})
        rows = [(_run(row[:-1]), (row[-1], row[0])) for row in await fetched.fetchall()]
    return pages.page(rows, limit)


_PARK = """
update runs set status = 'parked', parked_reason = %s, parked_detail = %s,
                next_actions = replace(%s::text, 'RUN', id::text)::json
where instance = %s and status in ('accepted', 'running', 'waiting', 'parked')
"""


async def ended_among(db: Database, runs: Sequence[str]) -> dict[str, Run]:
    """Those of ``runs`` that have ended, whole."""
    if not runs:
        return {}
    async with db.connection() as connection:
        cursor = await connection.execute(_WHOLE + "where id = any(%s) and ended_at is not null", [Ids(runs)])
        return {row[0]: _run(row) for row in await cursor.fetchall()}


async def erased_among(db: Database, runs: Sequence[str]) -> set[str]:
    """Those of ``runs`` whose instances were erased: they have ended, and no journal tells of it."""
    if not runs:
        return set()
    async with db.connection() as connection:
        cursor = await connection.execute("select id::text from runs where id = any(%s) and key = ''", [Ids(runs)])
        return {row[0] for row in await cursor.fetchall()}


async def open_of(db: Database, instance: str) -> list[Run]:
    """The instance's runs that have not ended, oldest first."""
    async with db.connection() as connection:
        cursor = await connection.execute(
            _EXPLAINED + "where instance = %s and status in ('accepted', 'running', 'waiting', 'parked')"
            " order by runs.created_at, runs.id",
            [instance],
        )
        return [_run(row) for row in await cursor.fetchall()]


async def under_way(db: Database, tenant: str, *, agent: str | None = None, limit: int = 1000) -> list[Run]:
    """The tenant's runs that have begun and not ended, oldest first, at most ``limit``; without input and output."""
    async with db.connection() as connection:
        cursor = await connection.execute(
            _LISTED + "where tenant = %(tenant)s and (%(agent)s::text is null or agent = %(agent)s)"
            " and status in ('running', 'waiting', 'parked') and first_version is not null"
            " order by runs.created_at, runs.id limit %(limit)s",
            {"tenant": tenant, "agent": agent, "limit": limit},
        )
        return [_run(row[:-1]) for row in await cursor.fetchall()]


async def diverged(
    db: Database, tenant: str, codes: Mapping[str, str], *, limit: int = 1000
) -> list[tuple[str, str, str]]:
    """(agent, key, run) of runs that are parked as diverged and began with these ``codes``, by agent."""
    async with db.connection() as connection:
        cursor = await connection.execute(
            "select r.agent, r.key, r.id::text from runs r join unnest(%s, %s) as c(agent, code) using (agent, code)"
            " where r.tenant = %s and r.status = 'parked' and r.parked_reason = 'diverged' order by r.id limit %s",
            [Texts(codes), Texts(codes.values()), tenant, limit],
        )
        return await cursor.fetchall()


async def park_unloadable(db: Database, instance: str, reason: str, detail: str, actions: Sequence[str]) -> None:
    """Park the instance's open runs by their rows alone: its journal cannot be read, and so nothing appended to it.

    ``RUN`` in ``actions`` stands for the run's id.
    """
    async with db.connection() as connection:
        await connection.execute(_PARK, [reason, detail, dumps(list(actions)).decode(), instance])


def _run(row: Sequence[Any]) -> Run:
    return replace(Run(*row), status=RunStatus(row[5]))
