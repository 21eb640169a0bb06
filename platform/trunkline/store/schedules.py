"""Schedules: declared with the agents' definitions, and fired by the transaction that accepts their runs.

``due_at`` is when a schedule fires next, by Postgres's clock (plus ``ahead``: tests skip time by it). It moves on in
the commit that accepts the run of the occurrence: whoever dies in between loses nothing and doubles nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trunkline.domain.codec import digest, dumps
from trunkline.domain.mail import Envelope
from trunkline.domain.specs import AgentSpec, ScheduleSpec
from trunkline.engine import occurrences
from trunkline.observe import faults, logs
from trunkline.store.accept import accept_in
from trunkline.store.arrays import Texts
from trunkline.store.database import Connection, Database

log = logs.get("schedules")


@dataclass(frozen=True, slots=True)
class Schedule:
    """A declared schedule. Times are seconds since the epoch; ``due_at`` is ``None`` when it will not be due any more.

    ``fired_at`` and ``missed_at`` are the due times of the newest occurrences that were fired, or let go; ``trouble``
    says why it stands still, if it does.
    """

    agent: str
    name: str
    app: str
    spec: dict[str, Any]
    due_at: float | None
    fired_at: float | None
    missed_at: float | None
    trouble: str


_DECLARE = """
with given as (
    select * from unnest(%(agents)s, %(names)s, %(apps)s, %(specs)s, %(digests)s, %(dues)s)
        as g(agent, name, app, spec, digest, due)
),
dropped as (
    delete from schedules s
    where s.tenant = %(tenant)s and (s.agent = any(%(declared)s) or s.app = any(%(declaring)s))
      and not exists (select from given g where (g.agent, g.name) = (s.agent, s.name))
)
insert into schedules (tenant, agent, name, app, spec, digest, due_at)
select %(tenant)s, agent, name, app, spec::json, digest, to_timestamp(due::float8) from given
on conflict (tenant, agent, name) do update
set app = excluded.app, spec = excluded.spec, digest = excluded.digest, due_at = excluded.due_at, trouble = ''
where (schedules.digest, schedules.app) <> (excluded.digest, excluded.app) or schedules.trouble <> ''
"""

_DUE = """
select tenant, agent, name, spec, extract(epoch from due_at)::float8
from schedules where due_at <= statement_timestamp() + %(ahead)s * interval '1 second'
order by due_at limit %(limit)s for update skip locked
"""

_MOVE_ON = """
update schedules s
set due_at = to_timestamp(m.due::float8), trouble = m.trouble,
    fired_at = coalesce(to_timestamp(m.fired::float8), s.fired_at),
    missed_at = coalesce(to_timestamp(m.missed::float8), s.missed_at)
from unnest(%(tenants)s, %(agents)s, %(names)s, %(due)s, %(fired)s, %(missed)s, %(trouble)s)
    as m(tenant, agent, name, due, fired, missed, trouble)
where (s.tenant, s.agent, s.name) = (m.tenant, m.agent, m.name)
"""

_LIST = """
select agent, name, app, spec, extract(epoch from due_at)::float8, extract(epoch from fired_at)::float8,
       extract(epoch from missed_at)::float8, trouble
from schedules where tenant = %s order by agent, name
"""


async def declare(connection: Connection, tenant: str, agents: Sequence[AgentSpec], *, ahead: float = 0.0) -> None:
    """A part of ``definitions.publish``: what is new is due after now; what is declared already stays due when it was;
    what is declared no longer, by these agents or their apps, is gone.
    """
    given = [(spec, schedule) for spec in agents for schedule in spec.schedules]
    now = await _now(connection, ahead)
    bodies = [schedule.model_dump(mode="json") for _, schedule in given]
    await connection.execute(
        _DECLARE,
        {
            "tenant": tenant,
            "declared": Texts(spec.name for spec in agents),
            "declaring": Texts({spec.app for spec in agents}),
            "agents": Texts(spec.name for spec, _ in given),
            "names": Texts(schedule.name for _, schedule in given),
            "apps": Texts(spec.app for spec, _ in given),
            "specs": Texts(map(dumps, bodies)),
            "digests": Texts(map(digest, bodies)),
            "dues": Texts(_text(occurrences.after(schedule, now)) for _, schedule in given),
        },
    )


async def fire_due(db: Database, limit: int = 100, *, ahead: float = 0.0) -> tuple[int, list[tuple[str, str, str]]]:
    """Accept a run for every occurrence of up to ``limit`` schedules that are due, once, however many look for them.

    Returns:
        how many schedules were due; and (tenant, agent, instance) of those to be woken.
    """
    async with db.connection() as connection, connection.transaction():
        cursor = await connection.execute(_DUE, {"ahead": ahead, "limit": limit})
        rows = await cursor.fetchall()
        if not rows:
            return 0, []
        now = await _now(connection, ahead)
        fired = [_Fired(*row, now=now) for row in rows]
        envelopes = [envelope for one in fired for envelope in one.envelopes]
        await accept_in(connection, envelopes, schema=db.schema)
        await faults.reach("schedule-accepted")
        await connection.execute(_MOVE_ON, _moves(fired))
    await faults.reach("schedules-fired")
    return len(rows), list({(one.tenant, one.agent, one.instance): None for one in envelopes})


async def next_due(db: Database, *, ahead: float = 0.0) -> float | None:
    """Seconds until the first schedule is due (0 when one is); ``None`` without any."""
    async with db.connection() as connection:
        cursor = await connection.execute(
            "select greatest(extract(epoch from min(due_at) - clock_timestamp()) - %s, 0)::float8 from schedules"
            " having min(due_at) is not null",
            [ahead],
        )
        row = await cursor.fetchone()
    return row[0] if row else None


async def list_schedules(db: Database, tenant: str) -> list[Schedule]:
    """What the tenant's agents have declared, by agent and name."""
    async with db.connection() as connection:
        cursor = await connection.execute(_LIST, [tenant])
        return [Schedule(*row) for row in await cursor.fetchall()]


class _Fired:
    """A schedule that was due, and what becomes of it. One that cannot be understood stands still, and says so."""

    def __init__(self, tenant: str, agent: str, name: str, spec: Any, due: float, *, now: float) -> None:
        self.address = (tenant, agent, name)
        self.envelopes: list[Envelope] = []
        self.plan = occurrences.Plan([], None, None)
        self.trouble = ""
        try:
            schedule = ScheduleSpec.model_validate(spec)
            planned = occurrences.plan(schedule, due, now)
            self.envelopes = [occurrences.envelope(tenant, agent, schedule, at) for at in planned.fire]
        except Exception as error:
            self.trouble = f"it cannot be carried out here: {type(error).__name__}: {error}"
            log.exception("a schedule stands still", agent=agent, schedule=name)
            return
        self.plan = planned
        if planned.missed is not None:
            log.warning("occurrences were missed", agent=agent, schedule=name, policy=schedule.missed)


def _moves(fired: Sequence[_Fired]) -> dict[str, Texts]:
    tenants, agents, names = zip(*(one.address for one in fired), strict=True)
    return {
        "tenants": Texts(tenants),
        "agents": Texts(agents),
        "names": Texts(names),
        "due": Texts(_text(one.plan.following) for one in fired),
        "fired": Texts(_text(one.plan.fire[-1] if one.plan.fire else None) for one in fired),
        "missed": Texts(_text(one.plan.missed) for one in fired),
        "trouble": Texts(one.trouble for one in fired),
    }


async def _now(connection: Connection, ahead: float) -> float:
    cursor = await connection.execute("select extract(epoch from clock_timestamp())::float8")
    [now] = await cursor.fetchone() or [0.0]
    return float(now) + ahead


def _text(moment: float | None) -> str | None:
    return None if moment is None else repr(moment)
