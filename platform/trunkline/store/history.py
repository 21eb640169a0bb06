"""What brings an instance back to life: its snapshot, and the entries behind it.

Activation thus costs what happened since the snapshot, however long the instance has lived. A snapshot that is not
usable is passed over: the whole journal is read then, if its beginning is still kept; else the instance is refused.

Where much happened since (a run that goes on and on allows no snapshot) it is read a share at a time, and the loop
turns in between: a worker that did nothing else for a second would be declared dead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trunkline.domain.errors import JournalCorrupt, SnapshotUnusable
from trunkline.domain.snapshot import Snapshot, decode
from trunkline.engine.fold import InstanceState, fold, fold_on
from trunkline.observe import logs, metrics
from trunkline.store import journal
from trunkline.store.arrays import Ids
from trunkline.store.database import Database
from trunkline.store.journal import Row

log = logs.get("store")

SHARE = 500  # entries that are read, or folded, before the loop has its turn


@dataclass(frozen=True, slots=True)
class History:
    """``rows`` are the entries behind ``snapshot``; without one, all that there are."""

    rows: list[Row]
    snapshot: Snapshot | None = None

    @property
    def covered(self) -> int:
        """The version of the snapshot; 0 without one."""
        return self.snapshot.version if self.snapshot else 0

    def fold(self) -> InstanceState:
        """What the instance comes to."""
        onto = InstanceState.of(self.snapshot) if self.snapshot else None
        return fold((row.entry for row in self.rows), onto)

    async def folded(self) -> InstanceState:
        """The same; the event loop turns now and then."""
        state = InstanceState.of(self.snapshot) if self.snapshot else InstanceState()
        for first in range(0, len(self.rows), SHARE):
            if first:
                await asyncio.sleep(0)
            fold_on(state, (row.entry for row in self.rows[first : first + SHARE]))
        return state


# One statement, so that snapshot and entries are of one moment. "offset 0" keeps the planner from reading the entries
# before the snapshot (it would join whole journals by hash); "->" on json gives the text as it was written.
_READ = f"""
with wanted as (
    select i.id, i.head, s.version as covered, s.body
    from instances i left join snapshots s on s.instance = i.id where i.id = any(%(instances)s)
)
select w.id::text, w.head, w.covered, w.body->>'format' as format, w.body->>'digest' as digest,
       (w.body->'content')::text as content, 0::bigint, null::bigint, null::integer, null::float8, null, null, null,
       null::smallint
from wanted w
union all
select w.id::text, null, null, null, null, null, {journal.COLUMNS}
from wanted w cross join lateral (
    select * from journal where instance = w.id and version > coalesce(w.covered, 0) order by version offset 0
) j
order by 1, 7
"""  # noqa: S608 — constants of ours


async def read(db: Database, instances: Sequence[str]) -> dict[str, History | JournalCorrupt]:
    """The histories of ``instances``; one that is not usable stands as the error that says why. Unknown instances are
    left out.

    Raises:
        Unreachable: Postgres is away.
    """
    found: dict[str, History | JournalCorrupt] = {}
    passed_over: dict[str, SnapshotUnusable] = {}
    for instance, (first, rows) in (await _fetch(db, instances)).items():
        try:
            found[instance] = await _history(instance, first, rows)
        except JournalCorrupt as error:
            found[instance] = error
        except SnapshotUnusable as error:
            passed_over[instance] = error
    whole = await journal.read(db, list(passed_over))
    return found | {instance: _without(instance, error, whole[instance]) for instance, error in passed_over.items()}


async def _fetch(db: Database, instances: Sequence[str]) -> dict[str, tuple[tuple[Any, ...], list[tuple[Any, ...]]]]:
    if not instances:
        return {}
    async with db.connection() as connection:
        cursor = await connection.execute(_READ, {"instances": Ids(instances)}, binary=True)
        found: dict[str, tuple[tuple[Any, ...], list[tuple[Any, ...]]]] = {}
        while fetched := await cursor.fetchmany(SHARE):  # they are here already: it is their decoding that takes time
            for instance, *columns in fetched:
                if columns[0] is not None:
                    found[instance] = (tuple(columns[:5]), [])
                else:
                    found[instance][1].append(tuple(columns[5:]))
            if len(fetched) == SHARE:
                await asyncio.sleep(0)
    return found


async def _history(instance: str, first: tuple[Any, ...], rows: list[tuple[Any, ...]]) -> History:
    head, covered, *written = first
    if covered is not None and covered > head:
        raise SnapshotUnusable(instance=instance, reason=f"it is of version {covered}, and the head is {head}")
    snapshot = None if covered is None else decode(instance, covered, *written)
    return History(await _checked(instance, head, rows, covered or 0), snapshot)


async def _checked(instance: str, head: int, rows: list[tuple[Any, ...]], after: int) -> list[Row]:
    """``journal.checked``, in shares; each begins with the last row of the one before: nothing may be in between."""
    found: list[Row] = []
    for first in range(0, max(len(rows), 1), SHARE):
        if not first:
            part, before = rows[:SHARE], after
        else:
            await asyncio.sleep(0)
            part, before = rows[first - 1 : first + SHARE], rows[first - 1][0] - 1
        upto = head if first + SHARE >= len(rows) else part[-1][0]
        found += journal.checked(instance, upto, part, after=before)[1 if first else 0 :]
    return found


def _without(
    instance: str, error: SnapshotUnusable, whole: journal.Journal | JournalCorrupt
) -> History | JournalCorrupt:
    if isinstance(whole, JournalCorrupt):
        return whole
    metrics.snapshots.labels(event="unusable").inc()
    if whole.removed:
        return JournalCorrupt(instance=instance, reason=f"its beginning was removed, and {error}")
    log.error("a snapshot is passed over; the instance is rebuilt from its whole journal", reason=str(error))
    return History(whole.rows)
