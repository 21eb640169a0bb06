"""Removing what has ended and is older than the policy's age: each function is one small transaction of its own.

A journal is removed only below a snapshot that holds state and conversation, and never the entries of a run that is
kept. Its entries go first, then the rows of their runs, then the mail that began them: so whatever is still there is
explained by what is there besides, wherever the process dies in between. Nothing here needs to be alone: every
statement names what it removes, and a second one finds it gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from trunkline.domain.errors import JournalCorrupt, RetentionRefused, TookTooLong
from trunkline.domain.ids import FIRST_ID
from trunkline.domain.snapshot import MOST_BYTES
from trunkline.store import history
from trunkline.store.arrays import Ids
from trunkline.store.database import Connection, Database
from trunkline.store.history import History
from trunkline.store.permitted import permitted

ROLE = "trunkline_retention"
LONGEST = 5  # seconds that one transaction may take
WORKERS_STAY = 2 * 3600.0  # seconds at least; the supervisor reads on for those that left within the last hour


@dataclass(frozen=True, slots=True)
class Old:
    """A run that ended before the age: ``mark`` is its place in the walk."""

    run: str
    instance: str
    mark: str


@dataclass(frozen=True, slots=True)
class Role:
    """Whether the cluster has the role that alone may remove, and whether ``user`` (who asks) is in it."""

    user: str
    exists: bool
    member: bool


_ROLE = """
select current_user::text, to_regrole(%(role)s) is not null,
       coalesce(pg_has_role(to_regrole(%(role)s)::oid, 'member'), false)
"""

# Here and below the age counts from the statement's time: only that can be looked for in an index.
_ENDED = """
select id::text, instance::text, ended_at::text from runs r
where ended_at < statement_timestamp() - %(age)s * interval '1 second'
  and (ended_at, id) > (%(mark)s::timestamptz, %(run)s::uuid)
order by r.ended_at, r.id limit %(limit)s  -- as the index has them, and not as they are selected
"""

# Open runs that a snapshot holds: only those began below it.
_HELD = """
select r.id::text, r.instance::text from runs r join snapshots s on s.instance = r.instance
where r.status in ('running', 'waiting', 'parked') and r.first_version <= s.version and s.version > s.floor
  and s.instance > %(after)s::uuid
order by r.instance limit %(limit)s
"""

_INSTANCES = """
select r.instance::text, bool_or(r.last_version > coalesce(s.version, 0))
from runs r left join snapshots s on s.instance = r.instance
where r.id = any(%(runs)s) group by r.instance
"""

_REMEMBER = """
insert into snapshots (instance, version, body) values (%s, %s, %s::json)
on conflict (instance) do update set version = excluded.version, body = excluded.body, created_at = now()
where excluded.version >= snapshots.version
"""

# Open runs stand in no way: what is below a snapshot is of ended runs, or of one that the snapshot holds. Of that one
# only what is old enough goes. Nothing is looked at but the entries that may go now, and their runs: it does not matter
# how many runs the instance has had.
_SHORTEN = """
with targets as (
    select s.instance, s.floor, least(s.version, s.floor + %(each)s, (
        select min(j.version) - 1 from journal j join runs r on r.id = j.run
        where j.instance = s.instance and j.version > s.floor and j.version <= s.floor + %(each)s
          and coalesce(r.ended_at, j.recorded_at) >= clock_timestamp() - %(age)s * interval '1 second')) as upto
    from snapshots s where s.instance = any(%(instances)s) order by s.instance for update of s
),
gone as (
    delete from journal j using targets t
    where j.instance = t.instance and j.version > t.floor and j.version <= t.upto returning 1
),
moved as (
    update snapshots s set floor = t.upto from targets t where s.instance = t.instance and t.upto > t.floor
)
select count(*) from gone
"""

# Of a run without a key the instance was erased, and the entries with it.
_RUNS = """
delete from runs r
where r.id = any(%(runs)s)
  and (r.key = '' or exists (select from snapshots s where s.instance = r.instance and r.last_version <= s.floor))
"""

# Walked in the order of acceptance, which needs no index of its own. What began a run stays as long as the run does.
_MAIL = """
with page as (
    select seq, kind, run, created_at, taken_at from mailbox where seq > %(after)s order by seq limit %(limit)s
),
gone as (
    delete from mailbox m using page p
    where m.seq = p.seq and p.taken_at < clock_timestamp() - %(age)s * interval '1 second'
      and (p.kind not in ('request', 'event') or not exists (select from runs r where r.id = p.run))
    returning 1
)
select (select count(*) from gone), max(seq),
       coalesce(bool_or(created_at >= clock_timestamp() - %(age)s * interval '1 second'), true)
from page
"""

_REST = {
    "approvals": """
delete from approvals where id = any(array(
    select id from approvals where closed_at < statement_timestamp() - %(age)s * interval '1 second'
    order by closed_at limit %(limit)s))
""",
    "dead_letters": """
delete from dead_letters where id = any(array(
    select id from dead_letters where settled_at < statement_timestamp() - %(age)s * interval '1 second'
    order by settled_at limit %(limit)s))
""",
    "payloads": """
delete from payloads p using (
    select o.tenant, o.id from payloads o
    where o.created_at < statement_timestamp() - %(age)s * interval '1 second'
      and not exists (select from runs r where r.id = o.run and r.ended_at is null)
    order by o.created_at limit %(limit)s) as old
where p.tenant = old.tenant and p.id = old.id
""",
    "workers": """
delete from workers where id = any(array(
    select w.id from workers w
    where coalesce(w.dead_at, w.left_at) < clock_timestamp() - greatest(%(age)s, %(stay)s) * interval '1 second'
      and not exists (select from instances i where i.owner = w.id)
    order by w.id limit %(limit)s))
""",
}
REST = tuple(_REST)


async def role(db: Database, name: str = ROLE) -> Role:
    """Who may do what the role ``name`` is for."""
    async with db.connection() as connection:
        row = await (await connection.execute(_ROLE, {"role": name})).fetchone()
    assert row is not None
    return Role(*row)


async def ended(db: Database, age: float, limit: int, *, after: Old | None = None) -> list[Old]:
    """The next runs that ended more than ``age`` seconds ago, the oldest first; go on with the last as ``after``."""
    place = {"mark": after.mark if after else "-infinity", "run": after.run if after else FIRST_ID}
    async with db.connection() as connection:
        cursor = await connection.execute(_ENDED, {"age": age, "limit": limit, **place})
        return [Old(*row) for row in await cursor.fetchall()]


async def lasting(db: Database, limit: int, *, after: str = FIRST_ID) -> list[tuple[str, str]]:
    """(run, instance) of the next open runs whose handlers have begun anew, and left entries below a snapshot; go on
    with the last instance as ``after``.
    """
    async with db.connection() as connection:
        cursor = await connection.execute(_HELD, {"after": after, "limit": limit})
        return [(run, instance) for run, instance in await cursor.fetchall()]


async def remember(db: Database, runs: Sequence[str]) -> list[str]:
    """Write a snapshot for every instance of ``runs`` that needs one to be shortened, and has no run open.

    Returns:
        the instances whose snapshots were read and found sound: only their journals may be shortened.
    """
    async with db.connection() as connection:
        cursor = await connection.execute(_INSTANCES, {"runs": Ids(runs)})
        behind = dict(await cursor.fetchall())
    sound = []
    for instance, past in (await history.read(db, list(behind))).items():
        if isinstance(past, JournalCorrupt):
            continue  # what is not understood is kept
        wanted = behind[instance] or past.snapshot is None
        if (wanted and await _remember(db, instance, past)) or past.snapshot is not None:
            sound.append(instance)
    return sound


async def _remember(db: Database, instance: str, past: History) -> bool:
    """The journal's end is a moment at which no run is open, or one begins anew; or there is no snapshot to be had."""
    snapshot = past.fold().snapshot(past.rows[-1].version) if past.rows else None
    if snapshot is None:
        return False
    version, body = snapshot.version, snapshot.encode(instance)
    if len(body) > MOST_BYTES:
        return False
    async with _removing(db, "snapshots") as connection:
        return (await connection.execute(_REMEMBER, [instance, version, body.decode()])).rowcount == 1


async def shorten(db: Database, instances: Sequence[str], age: float, each: int) -> int:
    """Remove the first entries of these journals, at most ``each`` of one: those below its snapshot and before the
    first run that ended within ``age`` seconds, or has not. Returns how many; call it again until there are none.
    """
    async with _removing(db, "journal") as connection:
        parameters = {"instances": Ids(sorted(instances)), "age": age, "each": each}
        row = await (await connection.execute(_SHORTEN, parameters)).fetchone()
    return int(row[0]) if row else 0


async def forget_runs(db: Database, runs: Sequence[str]) -> int:
    """Remove the rows of those of ``runs`` whose entries are gone."""
    async with _removing(db, "runs") as connection:
        return (await connection.execute(_RUNS, {"runs": Ids(runs)})).rowcount


async def forget_mail(db: Database, age: float, limit: int, *, after: int = 0) -> tuple[int, int | None]:
    """Remove what was taken more than ``age`` seconds ago among the next ``limit`` letters behind seq ``after``.

    Returns:
        how many, and the seq to go on with; ``None`` when what follows is younger.
    """
    async with _removing(db, "mailbox") as connection:
        cursor = await connection.execute(_MAIL, {"age": age, "limit": limit, "after": after})
        row = await cursor.fetchone()
    removed, last, young = row or (0, None, True)
    return removed, None if young else last


async def forget(db: Database, what: str, age: float, limit: int) -> int:
    """Remove up to ``limit`` rows of ``what`` (one of ``REST``) that were done with more than ``age`` seconds ago."""
    async with _removing(db, what) as connection:
        parameters = {"age": age, "limit": limit, "stay": WORKERS_STAY}
        return (await connection.execute(_REST[what], parameters)).rowcount


def _removing(db: Database, what: str) -> AbstractAsyncContextManager[Connection]:
    """A transaction that may remove, for a short time.

    Raises:
        RetentionRefused: this database role may not.
        TookTooLong: it did not come to its end in time, or somebody stood in its way; nothing was removed.
    """

    def refused(reason: str) -> RetentionRefused:
        return RetentionRefused(what=what, reason=reason, role=ROLE)

    too_long = TookTooLong(what=f"removing from {what}", seconds=LONGEST)
    return permitted(db, "retention", longest=LONGEST, patience=1, refused=refused, too_long=too_long)
