"""Reads all of a tenant's journals, runs and mail, and says what must not be so. For a quiet exchange, or a copy."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.domain.errors import JournalCorrupt
from trunkline.engine.audit import Audit, Recorded
from trunkline.store import journal
from trunkline.store.database import Database

PAGE = 200  # instances that are read at once

_INSTANCES = "select id::text from instances where tenant = %s and id > %s::uuid order by id limit %s"
_RUNS = "select id::text, status, agent, key from runs where tenant = %s"
_FIRST = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Findings:
    """``violations`` are promises that were broken; ``unfinished`` are runs that are neither ended nor parked yet."""

    instances: int
    runs: int
    violations: list[str]
    unfinished: list[str]


async def audit(db: Database, tenant: str) -> Findings:
    """Look through everything of ``tenant``. It reads whole journals, a page of instances at a time.

    Raises:
        Unreachable: Postgres is away.
    """
    check, count, after = Audit(), 0, _FIRST
    while True:
        async with db.connection() as connection:
            page = [row[0] for row in await (await connection.execute(_INSTANCES, [tenant, after, PAGE])).fetchall()]
        if not page:
            break
        count, after = count + len(page), page[-1]
        for instance, rows in (await journal.read(db, page)).items():
            if isinstance(rows, JournalCorrupt):
                check.violations.append(str(rows))
            else:
                check.read(instance, [Recorded(row.version, row.epoch, row.entry) for row in rows])
    return await _against_runs(db, tenant, check, count)


async def _against_runs(db: Database, tenant: str, check: Audit, instances: int) -> Findings:
    async with db.connection() as connection:
        rows = await (await connection.execute(_RUNS, [tenant])).fetchall()
    violations, unfinished = list(check.violations), []
    for run, status, agent, key in rows:
        told = check.runs.get(run)
        ended = told.status if told else None
        if status in ("completed", "failed", "cancelled"):
            if ended != status:
                violations.append(f"run {run} is {status}, and its journal says {ended or 'that it goes on'}")
        elif ended is not None:
            violations.append(f"run {run} is {status}, and its journal says that it is {ended}")
        elif status != "parked":
            unfinished.append(f"run {run} of {agent}/{key} is {status}")
    known = {row[0] for row in rows}
    violations += [f"run {run} is in a journal, and was never accepted" for run in check.runs if run not in known]
    return Findings(instances, len(rows), violations, unfinished)
