"""The count at the end, when nothing moves any more: of Postgres, and of the ledger of executions outside of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trunkline.chaos.asking import ask
from trunkline.chaos.report import Repeated
from trunkline.chaos.standing import Standing, judge, open_runs
from trunkline.domain.effects import Begun
from trunkline.domain.status import RunStatus, StepKind
from trunkline.store.arrays import Ids
from trunkline.store.audit import audit
from trunkline.store.database import Database

_OURS = "select id::text, status, error, parked_reason from runs where id = any(%s) order by created_at, id"
_TWICE = """
select instance::text, count(*) from runs where parent_run is null and handler = ''
and instance in (select instance from runs where id = any(%s)) group by instance having count(*) > 1
"""
_MEAN_COST = """
select avg((body->'usage'->>'cost_usd')::float8) from journal
where type = 'StepCompleted' and (body->'usage'->>'cost_known')::boolean
"""


@dataclass(frozen=True, slots=True)
class Count:
    """``standing`` counts the accepted runs by where they stand; ``lost`` also those that they led to."""

    standing: Counter[str]
    lost: int
    violations: list[str]
    repeated: Repeated
    first_error: str
    parked_because: dict[str, int]


async def count(
    db: Database, tenant: str, begun: Sequence[Begun], accepted: Sequence[str], *, own_instances: bool
) -> Count:
    """``begun`` is what the ledger tells. ``own_instances``: each ``accepted`` run should be alone in its instance."""
    rows = await ask(db, _OURS, Ids(accepted))
    found = judge(await open_runs(db, tenant))
    standing = Counter(_standing(id_, status, found) for id_, status, *_ in rows)
    missing = len(set(accepted)) - len(rows)
    stray = [id_ for id_, stands in found.items() if stands is Standing.AT_WORK]
    audited = await audit(db, tenant, begun)
    twice = await ask(db, _TWICE, Ids(accepted)) if own_instances else []
    doubled = [f"instance {instance} has {runs} runs of one start" for instance, runs in twice]
    return Count(
        standing,
        missing + len(stray),
        audited.violations + doubled,
        await _repeated(db, audited.repeated),
        _first_error(rows),
        dict(Counter(reason for *_, reason in rows if reason)),
    )


def _standing(run: str, status: str, found: dict[str, Standing]) -> str:
    return status if RunStatus(status).ended else found.get(run, Standing.AT_WORK)


async def _repeated(db: Database, repeated: dict[str, int]) -> Repeated:
    calls = repeated.get(StepKind.LLM, 0)
    [(mean,)] = await ask(db, _MEAN_COST)
    return Repeated(repeated.get(StepKind.TOOL, 0), calls, round(calls * mean, 9) if mean else None)


def _first_error(rows: Sequence[tuple[Any, ...]]) -> str:
    errors = (error for _, status, error, _ in rows if status == RunStatus.FAILED and error)
    return next((f"{error.get('type')}: {error.get('message')}" for error in errors), "")
