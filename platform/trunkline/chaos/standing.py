"""How the accepted runs stand: each has ended, is parked, waits for somebody or some time, goes on, or is lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from trunkline.chaos.asking import ask
from trunkline.domain.status import RunStatus
from trunkline.store.database import Database

OVERDUE = 5.0  # seconds after its time at which a timer that did not go off is lost

_OPEN = """
select r.id::text, coalesce(r.parent_run::text, ''), r.status,
    exists (select from journal s where s.instance = r.instance and s.run = r.id and s.type = 'StepScheduled'
            and s.body->>'kind' in ('tool', 'llm', 'local') and not exists (
                select from journal e where e.instance = s.instance and e.run = s.run
                and e.body->>'key' = s.body->>'key' and e.type in ('StepCompleted', 'StepFailed', 'StepCancelled'))),
    exists (select from mailbox m where m.instance = r.instance and m.taken_at is null and m.kind <> 'request')
    or exists (select from timers t where t.run = r.id and t.due_at < clock_timestamp() - %s * interval '1 second'),
    (select extract(epoch from min(t.due_at) - clock_timestamp())::float8 from timers t where t.run = r.id),
    coalesce((select b.id::text from runs b where b.instance = r.instance and r.status = 'accepted'
              and b.status in ('running', 'waiting', 'parked') limit 1), '')
from runs r where r.tenant = %s and r.ended_at is null
"""


class Standing(StrEnum):
    """How a run that has not ended stands, with all that it asked for."""

    AT_WORK = "at work"
    WAITING = "waiting"  # for a person, a signal or a time to come
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class Open:
    """A run that has not ended. ``busy``: a step of it is under way. ``owed``: there is mail for it that nobody took,
    or a timer that did not go off. ``due_in``: the seconds until its next timer. ``behind``: the run of its instance
    that it is queued behind.
    """

    id: str
    parent: str
    status: RunStatus
    busy: bool = False
    owed: bool = False
    due_in: float | None = None
    behind: str = ""


async def open_runs(db: Database, tenant: str) -> list[Open]:
    """Every run of ``tenant`` that has not ended."""
    rows = await ask(db, _OPEN, OVERDUE, tenant)
    return [Open(id_, parent, RunStatus(status), *rest) for id_, parent, status, *rest in rows]


def judge(runs: Iterable[Open]) -> dict[str, Standing]:
    """How each run stands that nobody else of ``runs`` asked for, by its id.

    A run that asked others stands as the worst of them does: one at work, else one that is parked.
    """
    known = {run.id: run for run in runs}
    asked: defaultdict[str, list[Open]] = defaultdict(list)
    for run in known.values():
        asked[run.parent].append(run)
    return {run.id: _standing(run, known, asked, frozenset()) for run in known.values() if run.parent not in known}


def _standing(run: Open, known: dict[str, Open], asked: dict[str, list[Open]], above: frozenset[str]) -> Standing:
    if run.status is RunStatus.PARKED:
        return Standing.PARKED
    if run.owed or run.busy:
        return Standing.AT_WORK
    ahead = [known[run.behind]] if run.behind in known else []
    next_ones = [one for one in ahead or asked.get(run.id, []) if one.id not in above]
    found = {_standing(one, known, asked, above | {run.id}) for one in next_ones}
    if not found and run.status is not RunStatus.WAITING:
        return Standing.AT_WORK
    worst = (Standing.AT_WORK, Standing.PARKED, Standing.WAITING)
    return next((one for one in worst if one in found), Standing.WAITING)
