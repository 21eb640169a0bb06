"""Runs from Postgres held against the code of an App: what ``trunkline runs replay`` finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trunkline.authoring.app import App
from trunkline.authoring.instance import InstanceView
from trunkline.authoring.replaying import Replayed, replay
from trunkline.domain.errors import JournalCorrupt
from trunkline.domain.specs import ModelSettings
from trunkline.engine.fold import InstanceState
from trunkline.store import definitions, history, journal, runs
from trunkline.store.database import Database
from trunkline.store.history import History

PAGE = 50  # runs whose journals are in memory at once


@dataclass(frozen=True, slots=True)
class Wanted:
    """One ``run``; or, where it is empty, at most ``limit`` that are under way, of ``agent`` alone if it is given."""

    run: str = ""
    agent: str = ""
    limit: int = 1000


async def held_against(db: Database, tenant: str, app: App, wanted: Wanted) -> dict[str, Any]:
    """``{"items": [{"run", "agent", "key", "difference"}, …], "fits", "diverged", "more"}``; nothing is written.

    Raises:
        UnknownRun: the tenant has no such run.
        Unreachable: Postgres is away.
    """
    found = await _wanted(db, tenant, wanted)
    verdicts: list[Replayed] = []
    for start in range(0, min(len(found), wanted.limit), PAGE):
        verdicts += await _of_page(db, tenant, app, found[start : min(start + PAGE, wanted.limit)])
    diverged = sum(not verdict.fits for verdict in verdicts)
    return {
        "items": [asdict(verdict) for verdict in verdicts],
        "fits": len(verdicts) - diverged,
        "diverged": diverged,
        "more": len(found) > wanted.limit,
    }


async def _wanted(db: Database, tenant: str, wanted: Wanted) -> list[runs.Run]:
    if wanted.run:
        return [await runs.get(db, tenant, wanted.run)]
    return await runs.under_way(db, tenant, agent=wanted.agent or None, limit=wanted.limit + 1)


async def _of_page(db: Database, tenant: str, app: App, page: Sequence[runs.Run]) -> list[Replayed]:
    ended = {run.instance for run in page if run.status.ended}
    pasts = await history.read(db, sorted({run.instance for run in page} - ended))
    wholes = await journal.read(db, sorted(ended))  # a snapshot may stand for the run itself
    begun_with = await definitions.exactly(db, tenant, {(run.agent, run.definition) for run in page})
    models = {(one.name, one.version): one.agent.model for one in begun_with}
    found = {**pasts, **{instance: _unless_removed(instance, one) for instance, one in wholes.items()}}
    return [_verdict(app, run, found.get(run.instance), models.get((run.agent, run.definition))) for run in page]


def _unless_removed(instance: str, whole: journal.Journal | JournalCorrupt) -> History | JournalCorrupt:
    if isinstance(whole, JournalCorrupt):
        return whole
    if whole.removed:
        return JournalCorrupt(instance=instance, reason="its beginning was removed")
    return History(whole.rows)


def _verdict(app: App, run: runs.Run, past: History | JournalCorrupt | None, model: ModelSettings | None) -> Replayed:
    if isinstance(past, JournalCorrupt):
        return Replayed(run.id, run.agent, run.key, str(past))
    onto = InstanceState.of(past.snapshot) if past and past.snapshot else None
    view = InstanceView(run.tenant, run.agent, run.key)
    return replay(app, view, run.id, [row.entry for row in past.rows] if past else [], model, onto=onto)
