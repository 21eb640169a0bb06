"""Reads all of a tenant's journals, runs and mail, and says what must not be so. For a quiet exchange, or a copy.

Where a ledger of effects was kept outside (``TRUNKLINE_EXECUTIONS_LOG``, or one's own), it is held against
the journals.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from trunkline.domain.effects import Begun
from trunkline.domain.errors import JournalCorrupt
from trunkline.domain.ids import FIRST_ID
from trunkline.engine.audit import Audit, Recorded
from trunkline.engine.effects import EffectsAudit
from trunkline.engine.fold import fold
from trunkline.store import history, journal
from trunkline.store.database import Database
from trunkline.store.history import History
from trunkline.store.journal import Journal

PAGE = 200  # instances that are read at once

_INSTANCES = "select id::text from instances where tenant = %s and id > %s::uuid order by instances.id limit %s"
_RUNS = "select id::text, status, agent, key, instance::text from runs where tenant = %s and key <> ''"
_ERASED = "select distinct instance::text from tombstones where tenant = %s"
_UNTAKEN = """
select m.kind, m.agent, m.key from mailbox m
where m.tenant = %s and m.taken_at is null and m.kind in ('reply', 'timer', 'cancel', 'resolve')
  and not exists (select from runs r where r.instance = m.instance and r.status = 'parked')
"""
_BONDS = """
select b.kind, b.agent, b.key, b.run::text
from bonds b left join runs r on r.id = b.run left join runs w on w.id = b.watcher
where b.tenant = %s and (r.id is null or r.ended_at is not null or w.id is null or w.ended_at is not null)
"""


@dataclass(frozen=True, slots=True)
class Findings:
    """``violations`` are promises that were broken; ``unfinished`` is what still is under way: runs that are neither
    ended nor parked, and mail that nobody took. ``repeated`` counts executions beyond the first, by the kind of step.
    """

    instances: int
    runs: int
    violations: list[str]
    unfinished: list[str]
    repeated: dict[str, int]


async def audit(db: Database, tenant: str, effects: Iterable[Begun] | None = None) -> Findings:
    """Look through everything of ``tenant``. It reads whole journals, a page of instances at a time.
    ``effects`` are the executions that began, as a ledger outside tells.

    Raises:
        Unreachable: Postgres is away.
    """
    check, count, after = Audit(tenant), 0, FIRST_ID
    async with db.connection() as connection:
        erased = await (await connection.execute(_ERASED, [tenant])).fetchall()
    check.shortened.update(instance for [instance] in erased)
    while True:
        async with db.connection() as connection:
            page = [row[0] for row in await (await connection.execute(_INSTANCES, [tenant, after, PAGE])).fetchall()]
        if not page:
            break
        count, after = count + len(page), page[-1]
        pasts = await history.read(db, page)
        for instance, kept in (await journal.read(db, page)).items():
            if isinstance(kept, JournalCorrupt):
                check.violations.append(str(kept))
                continue
            rows = [Recorded(row.version, row.epoch, row.entry, row.writer, row.at) for row in kept.rows]
            past = pasts.get(instance)
            check.read(instance, rows, removed=kept.removed, covered=kept.covered, held=_held(past))
            check.violations += _wrong_snapshot(instance, kept, past)
    check.compare_replies()
    found = await _against_runs(db, tenant, check, count)
    if effects is None:
        return found
    outside = EffectsAudit(check, list(effects))
    return replace(found, violations=found.violations + outside.violations, repeated=dict(outside.repeated))


def _held(past: History | JournalCorrupt | None) -> str:
    """The open run that the snapshot holds, if it does."""
    snapshot = past.snapshot if isinstance(past, History) else None
    return snapshot.held.started.run if snapshot and snapshot.held else ""


def _wrong_snapshot(instance: str, kept: Journal, past: History | JournalCorrupt | None) -> list[str]:
    """The snapshot must be what the entries come to, where these are still kept."""
    if not kept.covered or isinstance(past, JournalCorrupt) or past is None:
        return [str(past)] if isinstance(past, JournalCorrupt) else []
    snapshot = past.snapshot
    if snapshot is None:
        return [f"instance {instance}: its snapshot at version {kept.covered} is not usable"]
    if kept.removed or snapshot.version != kept.covered:
        return []
    come_to = fold(row.entry for row in kept.rows if row.version <= kept.covered).snapshot(kept.covered)
    wrong = f"instance {instance}: its snapshot at version {kept.covered} is not what its journal comes to"
    if come_to is None:
        return [f"{wrong}: a run was open"]
    return [] if come_to == snapshot else [wrong]


async def _against_runs(db: Database, tenant: str, check: Audit, instances: int) -> Findings:
    async with db.connection() as connection:
        rows = await (await connection.execute(_RUNS, [tenant])).fetchall()
        letters = await (await connection.execute(_UNTAKEN, [tenant])).fetchall()
        bonds = await (await connection.execute(_BONDS, [tenant])).fetchall()
    violations, unfinished = list(check.violations), []
    for run, status, agent, key, instance in rows:
        told = check.runs.get(run)
        ended = told.status if told else None
        if status in ("completed", "failed", "cancelled"):
            if ended != status and (told or instance not in check.shortened):
                violations.append(f"run {run} is {status}, and its journal says {ended or 'that it goes on'}")
        elif ended is not None:
            violations.append(f"run {run} is {status}, and its journal says that it is {ended}")
        elif status != "parked":
            unfinished.append(f"run {run} of {agent}/{key} is {status}")
    known = {row[0] for row in rows}
    violations += [f"run {run} is in a journal, and was never accepted" for run in check.runs if run not in known]
    violations += [
        f"run {run}, step {key}: the run {child} that it spawned was never accepted"
        for child, (run, key, instance) in check.spawned().items()
        if child not in known and instance not in check.shortened
    ]
    unfinished += [f"a {kind} of {agent}/{key} to run {run} outlived one of the two" for kind, agent, key, run in bonds]
    unfinished += [f"a {kind} for {agent}/{key} was not taken" for kind, agent, key in letters]
    return Findings(instances, len(rows), violations, unfinished, {})
