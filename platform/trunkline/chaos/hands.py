"""What is in whose hands just now, and when it went on: asked of the journal, and of the ledger of executions.

What a worker holds is a set of *grips*: an agent worker holds instances (each with its epoch), a tool or LLM worker
holds steps. What is under way when a server dies is held by nobody: then every instance at work is a grip.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trunkline.chaos.asking import ask
from trunkline.chaos.plan import Part
from trunkline.domain.ids import derived_id
from trunkline.observe.ledger import begun_in
from trunkline.store.arrays import BigInts, Ids
from trunkline.store.database import Database

_RUNNING = """
select i.id::text, coalesce(i.owner, ''), i.epoch from instances i
where exists (select from runs r where r.instance = i.id and r.status = 'running')
"""
_OPEN_STEPS = """
select s.instance::text, s.run::text, s.body->>'key'
from journal s join runs r on r.id = s.run and r.status = 'running'
where s.instance = r.instance and s.type = 'StepScheduled' and s.body->>'kind' = %s and not exists (
    select from journal e where e.instance = s.instance and e.run = s.run and e.body->>'key' = s.body->>'key'
    and e.type in ('StepCompleted', 'StepFailed', 'StepCancelled'))
"""
_TAKEN_ON = """
select j.instance::text, '', extract(epoch from min(j.recorded_at))::float8
from journal j join unnest(%s, %s) held(instance, epoch) on held.instance = j.instance and j.epoch > held.epoch
group by j.instance
"""
_MOVED = """
select j.instance::text, '', extract(epoch from min(j.recorded_at))::float8
from journal j where j.instance = any(%s) and j.recorded_at > to_timestamp(%s) group by j.instance
"""
_OUTCOMES = """
select j.run::text, j.body->>'key', extract(epoch from min(j.recorded_at))::float8
from journal j where j.instance = any(%s) and j.recorded_at > to_timestamp(%s)
and j.type in ('StepCompleted', 'StepFailed', 'StepCancelled') group by j.run, j.body->>'key'
"""


@dataclass(frozen=True, slots=True)
class Grip:
    """Something that is in somebody's hands: an instance at an ``epoch``, or the ``step`` of a ``run`` of it."""

    instance: str
    epoch: int = 0
    run: str = ""
    step: str = ""


class Hands:
    """Questions about one exchange, whose workers write to ``ledger``."""

    def __init__(self, db: Database, ledger: Path) -> None:
        self._db = db
        self._ledger, self._read_to = ledger, 0
        self._begun_by: dict[str, str] = {}  # a step's idempotency key: the worker that began it last

    async def at_work(self) -> list[Grip]:
        """Every instance that is at work."""
        return [Grip(instance, epoch) for instance, _, epoch in await ask(self._db, _RUNNING)]

    async def held(self, part: Part) -> dict[str, list[Grip]]:
        """What each worker of this kind holds, by the worker's id."""
        held: dict[str, list[Grip]] = {}
        if part is Part.AGENTS:
            for instance, owner, epoch in await ask(self._db, _RUNNING):
                held.setdefault(owner, []).append(Grip(instance, epoch))
            return held
        open_ = await ask(self._db, _OPEN_STEPS, {Part.TOOLS: "tool", Part.LLM: "llm"}[part])
        self._read_on()
        for instance, run, step in open_:
            if worker := self._begun_by.get(derived_id("step", run, step)):
                held.setdefault(worker, []).append(Grip(instance, 0, run, step))
        return held

    async def went_on(self, grips: Sequence[Grip], at: float, *, elsewhere: bool) -> dict[Grip, float]:
        """When each of ``grips`` went on (seconds since the epoch), after ``at``: a step by its outcome, an instance by
        the next entry of its journal; ``elsewhere``: by the next one of another owner, or of a later lease.
        """
        if any(grip.step for grip in grips):
            rows = await ask(self._db, _OUTCOMES, _instances(grips), at)
        elif elsewhere:
            rows = await ask(self._db, _TAKEN_ON, _instances(grips), BigInts(grip.epoch for grip in grips))
        else:
            rows = await ask(self._db, _MOVED, _instances(grips), at)
        moments = {(one, step): when for one, step, when in rows}
        found = {grip: moments.get((grip.run or grip.instance, grip.step)) for grip in grips}
        return {grip: when for grip, when in found.items() if when is not None}

    def _read_on(self) -> None:
        """What has been added to the ledger since."""
        if not self._ledger.exists():
            return
        with self._ledger.open("rb") as file:
            file.seek(self._read_to)
            added = file.read()
        whole = added[: added.rfind(b"\n") + 1]
        self._read_to += len(whole)
        for begun in begun_in(whole, str(self._ledger)):
            self._begun_by[begun.key] = begun.worker


def _instances(grips: Collection[Grip]) -> Any:
    return Ids(grip.instance for grip in grips)
