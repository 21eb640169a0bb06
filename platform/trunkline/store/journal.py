"""Reading journals. They are written by ``append`` alone, and never changed: the database refuses it.

The beginning of a journal may have been removed (``retention``), but nothing behind its instance's snapshot. To bring
an instance back to life, read ``history`` instead, which begins with the snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trunkline.domain import journal as entries
from trunkline.domain.errors import JournalCorrupt
from trunkline.domain.journal import Entry
from trunkline.store.arrays import BigInts, Ids
from trunkline.store.database import Database


@dataclass(frozen=True, slots=True)
class Row:
    """One journal row: ``at`` is when it was recorded, in seconds since the epoch by Postgres's clock; ``writer`` is a
    digest of the worker's id.
    """

    version: int
    epoch: int
    writer: int
    at: float
    entry: Entry

    def as_json(self) -> dict[str, Any]:
        """As people see it: ``{"version", "epoch", "at", "type", "body"}``."""
        return {
            "version": self.version,
            "epoch": self.epoch,
            "at": self.at,
            "type": self.entry.TYPE,
            "body": self.entry.body(),
        }


COLUMNS = (
    "j.version, j.epoch, j.writer, extract(epoch from j.recorded_at)::float8, j.type, j.run::text, j.body,"
    " j.schema_version"
)

_READ = f"""
select i.id::text, i.head, coalesce(s.floor, 0), coalesce(s.version, 0), {COLUMNS}
from instances i left join snapshots s on s.instance = i.id
left join journal j on j.instance = i.id and j.version > coalesce(s.floor, 0)
where i.id = any(%(instances)s)
order by i.id, j.version
"""  # noqa: S608 — constants of ours

_READ_RUN = f"""
select r.instance::text, {COLUMNS}
from runs r
join journal j on j.instance = r.instance and j.run = r.id
              and j.version >= r.first_version and j.version <= coalesce(r.last_version, 9223372036854775807)
where r.id = %(run)s and r.tenant = %(tenant)s and j.version > %(after)s
order by j.version limit %(limit)s
"""  # noqa: S608 — constants of ours

_TAILS = f"""
select r.id::text, r.instance::text, {COLUMNS}
from unnest(%(runs)s, %(after)s) as t(run, after)
join runs r on r.id = t.run
cross join lateral (
    select * from journal
    where instance = r.instance and run = r.id and version > t.after and version >= r.first_version
      and version <= coalesce(r.last_version, 9223372036854775807)
    order by version limit %(limit)s
) j
order by r.id, j.version
"""  # noqa: S608 — constants of ours


@dataclass(frozen=True, slots=True)
class Journal:
    """What is kept of an instance's journal. Up to version ``covered`` a snapshot stands for it, and up to version
    ``removed`` it is gone.
    """

    rows: list[Row]
    removed: int = 0
    covered: int = 0


async def read(db: Database, instances: Sequence[str]) -> dict[str, Journal | JournalCorrupt]:
    """All that is kept of the journals of ``instances``; one that is not usable stands as the error that says why.

    Unknown instances are left out; one without entries has no rows.
    """
    if not instances:
        return {}
    async with db.connection() as connection:
        cursor = await connection.execute(_READ, {"instances": Ids(instances)}, binary=True)
        fetched = await cursor.fetchall()
    raw: dict[str, tuple[int, int, int, list[tuple[Any, ...]]]] = {}
    for instance, head, removed, covered, *columns in fetched:
        rows = raw.setdefault(instance, (head, removed, covered, []))[3]
        if columns[0] is not None:
            rows.append(tuple(columns))
    found: dict[str, Journal | JournalCorrupt] = {}
    for instance, (head, removed, covered, columns_of) in raw.items():
        try:
            found[instance] = Journal(checked(instance, head, columns_of, after=removed), removed, covered)
        except JournalCorrupt as error:
            found[instance] = error
    return found


async def read_run(db: Database, tenant: str, run: str, *, after: int = 0, limit: int = 1000) -> list[Row]:
    """The run's entries above version ``after``; none when the tenant has no such run.

    Raises:
        JournalCorrupt: an entry is of a type that this version does not know, or does not fit it.
    """
    async with db.connection() as connection:
        cursor = await connection.execute(
            _READ_RUN, {"run": run, "tenant": tenant, "after": after, "limit": limit}, binary=True
        )
        return [_row(instance, columns) for instance, *columns in await cursor.fetchall()]


async def tails(db: Database, after: Mapping[str, int], *, limit: int = 200) -> dict[str, list[Row]]:
    """For each run in ``after``, its next entries above that version, at most ``limit`` of each run.

    Raises:
        JournalCorrupt: as ``read_run``.
    """
    found: dict[str, list[Row]] = {run: [] for run in after}
    if not found:
        return found
    parameters = {"runs": Ids(after), "after": BigInts(after.values()), "limit": limit}
    async with db.connection() as connection:
        cursor = await connection.execute(_TAILS, parameters, binary=True)
        for run, instance, *columns in await cursor.fetchall():
            found[run].append(_row(instance, columns))
    return found


def checked(instance: str, head: int, rows: list[tuple[Any, ...]], *, after: int = 0) -> list[Row]:
    """The rows of a journal behind version ``after``, without a hole and up to ``head``.

    Raises:
        JournalCorrupt: something is missing, out of order, or not understood.
    """
    newest, epoch = after, 0
    for row in rows:
        if row[0] != newest + 1:
            raise JournalCorrupt(instance=instance, reason=f"version {newest + 1} is missing before {row[0]}")
        if row[1] < epoch:
            raise JournalCorrupt(instance=instance, reason=f"version {row[0]} is of epoch {row[1]}, after {epoch}")
        newest, epoch = row[0], row[1]
    if newest != head:
        raise JournalCorrupt(instance=instance, reason=f"it ends at version {newest}, and the head is {head}")
    return [_row(instance, row) for row in rows]


def _row(instance: str, columns: Sequence[Any]) -> Row:
    version, epoch, writer, at, type_, run, body, schema = columns
    return Row(version, epoch, writer, at, entries.decode(instance, type_, run, body, schema))
