"""What looks at an exchange again and again reads no more of it for all the instances that only lie there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from integration.store.making import AGENT, TENANT, envelope
from trunkline.domain.ids import new_id
from trunkline.domain.status import RunStatus
from trunkline.store import at_hand, bonds, mailbox, pauses, reclaim, retention, runs, schedules, timers, workers
from trunkline.store.accept import accept
from trunkline.store.database import Database

IDLE, ASLEEP = 20_000, 5_000
FEW = 50  # rows
YEAR = 365 * 86400.0

# Ended runs, and runs that wait (these with a timer): each with the letter that began it, and with what is settled.
_FILL = """
with made as materialized (
    select n, gen_random_uuid() as instance, gen_random_uuid() as run, n <= %(asleep)s as asleep
    from generate_series(1, %(all)s) as n
),
instances_ as (
    insert into instances (id, tenant, agent, key, head) select instance, %(tenant)s, %(agent)s, n::text, 3 from made
),
runs_ as (
    insert into runs (id, tenant, instance, agent, key, status, first_version, last_version, ended_at)
    select run, %(tenant)s, instance, %(agent)s, n::text, case when asleep then 'waiting' else 'completed' end, 1,
           case when asleep then null else 3 end, case when asleep then null else now() end from made
),
timers_ as (
    insert into timers (instance, run, step, tenant, agent, due_at)
    select instance, run, 'wait:go#1', %(tenant)s, %(agent)s, now() + interval '1 day' from made where asleep
),
approvals_ as (
    insert into approvals (id, tenant, instance, agent, key, run, step, name, digest, closed_at)
    select gen_random_uuid(), %(tenant)s, instance, %(agent)s, n::text, run, 's', 'n', 'd', now() from made
),
dead_letters_ as (
    insert into dead_letters (id, tenant, source, reason, settled_at)
    select gen_random_uuid(), %(tenant)s, 'mailbox', 'late', now() from made
),
bonds_ as (
    insert into bonds (tenant, run, kind, watcher, step, instance, agent, key)
    select %(tenant)s, run, 'monitor', run, 's', instance, %(agent)s, n::text from made where asleep
),
payloads_ as (
    insert into payloads (tenant, id, body, run) select %(tenant)s, run::text, '{}', run from made
)
insert into mailbox (tenant, instance, agent, key, message_id, kind, run, body, taken_at)
select %(tenant)s, instance, %(agent)s, n::text, 'm', 'request', run, '{}', now() from made
"""
# One instance with all of the runs, of two entries each, and a snapshot that covers them.
_LONG = """
with made as materialized (
    select n, %(instance)s::uuid as instance, gen_random_uuid() as run from generate_series(1, %(all)s) as n
),
runs_ as (
    insert into runs (id, tenant, instance, agent, key, status, first_version, last_version, ended_at)
    select run, %(tenant)s, instance, %(agent)s, 'long', 'completed', 2 * n - 1, 2 * n, now() from made
),
snapshots_ as (
    insert into snapshots (instance, version, body) values (%(instance)s, 2 * %(all)s, '{}')
)
insert into journal (instance, version, run, type, body, epoch, writer)
select instance, 2 * n - half, run, 'RunStarted', '{}', 1, 1 from made, generate_series(0, 1) as half
"""
_READ = """
select coalesce(sum(seq_tup_read), 0)::bigint + (
    select coalesce(sum(idx_tup_read), 0)::bigint from pg_stat_user_indexes where schemaname = current_schema)
from pg_stat_user_tables where schemaname = current_schema
"""

LOOKS: dict[str, Callable[[Database], Awaitable[object]]] = {
    "untaken mail": lambda db: mailbox.untaken(db, 0.0, 1000),
    "still runs": lambda db: reclaim.stalled(db, 0.0),
    "departed workers": workers.departed,
    "silent workers": lambda db: workers.silent(db, 1.0),
    "due timers": timers.fire_due,
    "the next timer": timers.next_due,
    "due schedules": schedules.fire_due,
    "the next schedule": schedules.next_due,
    "old runs": lambda db: retention.ended(db, YEAR, 50),
    "old runs where all are old": lambda db: retention.ended(db, -YEAR, 10),
    "bonds that may be settled": lambda db: bonds.settle_lost(db, -YEAR, 2, bonds.FIRST),
    "the newest runs": lambda db: runs.list_runs(db, TENANT, limit=10),
    "the newest runs of an instance": lambda db: runs.list_runs(db, TENANT, agent=AGENT, key="5", limit=10),
    "the newest failed runs": lambda db: runs.list_runs(db, TENANT, status=RunStatus.FAILED, limit=10),
    "runs that are under way": lambda db: runs.under_way(db, TENANT, agent="nobody"),
    **{f"old {what}": lambda db, what=what: retention.forget(db, what, YEAR, 500) for what in retention.REST},  # type: ignore[misc]
    "runs parked for want of code": lambda db: runs.diverged(db, TENANT, {AGENT: "code"}),
    "paused agents": lambda db: pauses.paused(db, TENANT),
    "mail of a resumed agent": lambda db: pauses.waiting(db, TENANT, AGENT),
    "what others decide": lambda db: at_hand.look(db, TENANT, [AGENT]),
}


async def read(db: Database) -> int:
    """Rows and index entries that were read in this schema so far."""
    async with db.connection() as connection:
        await connection.execute("select pg_stat_force_next_flush()")
    async with db.connection() as connection:
        [count] = await (await connection.execute(_READ)).fetchone() or [0]
    return int(count)


@pytest.fixture
async def filled(url: str, schema: str, opened: Callable[..., Awaitable[Database]]) -> Database:
    """On one connection, whose own counting is looked at."""
    db = await opened(url, schema=schema, size=1)
    parameters = {"tenant": TENANT, "agent": AGENT, "asleep": ASLEEP, "all": IDLE + ASLEEP}
    async with db.connection() as connection:
        await connection.execute(_FILL, parameters)
    async with db.connection() as connection:
        await connection.execute("vacuum analyze")
    return db


async def test_no_look_reads_what_is_idle_or_asleep(filled: Database) -> None:
    await accept(filled, [envelope()])
    reading = {}
    for name, look in LOOKS.items():
        before = await read(filled)
        await look(filled)
        reading[name] = await read(filled) - before
    assert {name: rows for name, rows in reading.items() if rows > FEW} == {}


async def test_removing_the_beginning_of_a_long_journal_reads_no_more_than_goes(filled: Database) -> None:
    parameters = {"tenant": TENANT, "agent": AGENT, "instance": new_id(), "all": IDLE}
    async with filled.connection() as connection:
        await connection.execute(_LONG, parameters)
        await connection.execute("analyze")
    before = await read(filled)
    assert await retention.shorten(filled, [str(parameters["instance"])], -YEAR, 10) == 10
    assert await read(filled) - before < 5 * FEW


async def test_the_count_sees_who_reads_all(filled: Database) -> None:
    before = await read(filled)
    async with filled.connection() as connection:
        await connection.execute("select count(body::text) from mailbox")
    assert await read(filled) - before > IDLE
