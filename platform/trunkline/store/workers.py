"""The roster: which processes are at work, by their own word. Whether one is dead is the supervisor's to judge.

A worker that is declared dead stays so: it may neither beat nor take leases again, and starts anew under another id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from trunkline.domain.codec import dumps
from trunkline.domain.work import Heartbeat
from trunkline.store.database import Database
from trunkline.store.leaders import NOBODY, RENEW, Lead


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker's row. Times are seconds since the epoch by Postgres's clock; ``silence`` counts from the last beat."""

    worker: str
    tenant: str
    kind: str
    app: str
    host: str
    pid: int
    started_at: float
    beat_at: float
    silence: float
    progress: int
    held: int
    draining: bool
    dead_at: float | None
    left_at: float | None


_SELECT = """
select id, tenant, kind, app, host, pid, extract(epoch from started_at)::float8, extract(epoch from beat_at)::float8,
       extract(epoch from clock_timestamp() - beat_at)::float8, progress, held, draining,
       extract(epoch from dead_at)::float8, extract(epoch from left_at)::float8
from workers
"""


# A beat that is lost when Postgres crashes is followed by the next one: its commit waits for no disk, and no replica.
# Nor does a renewal with it: should another supervisor lead too early for that, two that lead for a moment do no harm.
_BEAT = """
with unhurried as (select set_config('synchronous_commit', 'off', true))
update workers set beat_at = clock_timestamp(), progress = %s, held = %s, draining = %s,
    announces = coalesce(%s::json, announces)
from unhurried where id = %s and dead_at is null and left_at is null
"""

_BEAT_AND_LOOK = f"""
with unhurried as (select set_config('synchronous_commit', 'off', true)),
beaten as (
    update workers set beat_at = clock_timestamp(), progress = %(progress)s
    from unhurried where id = %(worker)s and dead_at is null and left_at is null
),
renewed as ({RENEW} returning epoch)
select id, extract(epoch from beat_at)::float8, held, exists(select from renewed)
from workers where dead_at is null and left_at is null
"""  # noqa: S608 — a constant of ours

Announced = Mapping[
    str, Mapping[str, Any]
]  # by agent: {"code", "state", "definition"}, what its runs begin with and can read


class Look(NamedTuple):
    """Everybody at work as it was at one moment: ``beats`` (seconds since the epoch by Postgres's clock), and how much
    they ``held`` together. ``renewed`` says whether the leadership that was to be renewed could be.
    """

    beats: dict[str, float]
    held: int
    renewed: bool


async def join(db: Database, beat: Heartbeat, announces: Announced | None = None) -> None:
    """Enter the roster with the first heartbeat, and with the code that this worker has."""
    async with db.connection() as connection:
        await connection.execute(
            "insert into workers (id, tenant, kind, app, host, pid, started_at, progress, held, draining, announces)"
            " values (%s, %s, %s, %s, %s, %s, to_timestamp(%s), %s, %s, %s, %s) on conflict (id) do nothing",
            [beat.worker, beat.tenant, beat.kind, beat.app, beat.host, beat.pid, beat.started_at, beat.progress,
             beat.held, beat.draining, dumps(announces or {}).decode()],
        )  # fmt: skip


async def beat(
    db: Database, worker: str, *, progress: int, held: int, draining: bool, announces: Announced | None = None
) -> bool:
    """Say that ``worker`` lives and how far it is, and (if that is new) what it announces. False: it was declared dead
    (or left), and must stop.
    """
    async with db.connection() as connection:
        cursor = await connection.execute(
            _BEAT, [progress, held, draining, dumps(announces).decode() if announces else None, worker]
        )
    return cursor.rowcount == 1


async def beat_and_look(db: Database, worker: str, *, progress: int, lead: Lead | None = None) -> Look:
    """The beat of a process that holds nothing, and when each that is at work has beaten last, as it was before. If
    ``worker`` is not among them it was declared dead (or left). It renews ``lead``, too.
    """
    named = (lead or NOBODY)._asdict()
    async with db.connection() as connection:
        cursor = await connection.execute(_BEAT_AND_LOOK, {"progress": progress, "worker": worker, **named})
        rows = await cursor.fetchall()
    beats = {one: beat for one, beat, *_ in rows}
    return Look(beats, sum(held for _, _, held, _ in rows), any(renewed for *_, renewed in rows[:1]))


async def leave(db: Database, worker: str) -> None:
    """Say goodbye. What it still holds is free to be reclaimed."""
    async with db.connection() as connection:
        await connection.execute(
            "update workers set left_at = clock_timestamp(), held = 0"
            " where id = %s and dead_at is null and left_at is null",
            [worker],
        )


async def list_workers(db: Database, tenant: str | None = None, *, gone: float = 0.0) -> list[Worker]:
    """Those that are at work, and those that died or left within the last ``gone`` seconds."""
    async with db.connection() as connection:
        cursor = await connection.execute(
            _SELECT + "where (%(tenant)s::text is null or tenant = %(tenant)s)"
            " and coalesce(dead_at, left_at, 'infinity') > clock_timestamp() - %(gone)s * interval '1 second'"
            " order by started_at, id",
            {"tenant": tenant, "gone": gone},
        )
        return [Worker(*row) for row in await cursor.fetchall()]


async def announced(db: Database, tenant: str) -> dict[str, Announced]:
    """What each agent worker that is at work announces, by its id; those that are draining take nothing any more."""
    async with db.connection() as connection:
        cursor = await connection.execute(
            "select id, announces from workers where tenant = %s and kind = 'agents' and not draining"
            " and dead_at is null and left_at is null and announces is not null order by started_at desc, id",
            [tenant],
        )
        return dict(await cursor.fetchall())


async def silent(db: Database, lease: float) -> list[Worker]:
    """Those that are neither dead nor gone, and have not beaten for ``lease`` seconds."""
    async with db.connection() as connection:
        cursor = await connection.execute(
            _SELECT + "where dead_at is null and left_at is null"
            " and beat_at < statement_timestamp() - %s * interval '1 second' order by beat_at",
            [lease],
        )
        return [Worker(*row) for row in await cursor.fetchall()]


async def declare_dead(db: Database, worker: str, beat_at: float) -> bool:
    """Declare ``worker`` dead, unless it has beaten again since ``beat_at`` (as it was read), or is gone already."""
    async with db.connection() as connection:
        cursor = await connection.execute(
            "update workers set dead_at = clock_timestamp() where id = %s and dead_at is null and left_at is null"
            " and beat_at <= to_timestamp(%s) + interval '2 microseconds'",  # a double does not hold the last digit
            [worker, beat_at],
        )
    return cursor.rowcount == 1


async def departed(db: Database) -> list[Worker]:
    """Those that died or left and still own instances, and those that did so within the last hour."""
    async with db.connection() as connection:
        cursor = await connection.execute(
            _SELECT + "where coalesce(dead_at, left_at) > clock_timestamp() - interval '1 hour'"
            " or (coalesce(dead_at, left_at) is not null"
            "     and exists (select from instances i where i.owner = workers.id))"
            " order by coalesce(dead_at, left_at), id"
        )
        return [Worker(*row) for row in await cursor.fetchall()]
