"""Looks at a world's tables for what may at no moment be so, and in the end for what must be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from property.exchange_hands import Done, Job
from property.exchange_model import Past
from trunkline.domain.status import Effect
from trunkline.store.audit import audit

if TYPE_CHECKING:
    from property.exchange_world import World

_INSTANCES = """
select i.id::text, head, epoch, owner, (select count(*) from journal j where j.instance = i.id)
from instances i where tenant = %s
"""
_ENTRIES = "select body from journal where instance = %s and run = %s and type = %s"
# The run was given up after this execution had got its permit.
_GIVEN_UP = """
select p.version from journal s join journal p using (instance, run)
where s.instance = %s and s.type = 'StepStarted' and s.body->>'execution' = %s and p.version > s.version
  and p.type = 'RunParked' and p.body->>'reason' = 'outcome-unknown'
"""
# Timers of steps that have their outcome.
_KEPT_TIMERS = """
select t.run::text, t.step from timers t join journal j using (instance, run)
where t.tenant = %s and j.type in ('StepCompleted', 'StepFailed', 'StepCancelled') and j.body->>'key' = t.step
"""
_DEAD = "select body->>'message_id' from dead_letters where tenant = %s"
_UNTAKEN = "select kind, message_id, body from mailbox where tenant = %s and taken_at is null"


@dataclass(frozen=True)
class Height:
    """How far an instance is, and whose it is (or was last, while it is nobody's)."""

    head: int = 0
    epoch: int = 0
    owner: str = ""


class Watch:
    """``faults`` are things that must not happen, found on the way."""

    def __init__(self, world: World) -> None:
        self.faults: list[str] = []
        self._world = world
        self._heights: dict[str, Height] = {}

    async def look(self) -> None:
        """Heads only grow, by what is in the journal; epochs never go back, and each is of one owner only."""
        for instance, head, epoch, owner, entries in await self._world.rows(_INSTANCES, self._world.tenant):
            before = self._heights.get(instance, Height())
            now = Height(head, epoch, owner or (before.owner if epoch == before.epoch else ""))
            shared = epoch == before.epoch and now.owner != before.owner
            if head < before.head or epoch < before.epoch or head != entries or shared:
                self.faults.append(f"{instance} went from {before} to {now}, with {entries} entries")
            self._heights[instance] = now

    async def permit(self, job: Job) -> None:
        """The permit of an unsafe step is in the journal before its worker hears of it."""
        if job.item.effect is Effect.UNSAFE and not await self._permitted(job):
            self.faults.append(f"execution {job.execution} was let go without a record")

    async def effect(self, job: Job, done: Done) -> None:
        """Nothing is done that is not in the journal; and nothing unsafe that is not permitted, or was given up."""
        scheduled = await self._entries(job, "StepScheduled")
        if not any(body["key"] == done.step and body["name"] == done.tool for body in scheduled):
            self.faults.append(f"{done} was never scheduled")
        if job.item.effect is Effect.UNSAFE:
            if not await self._permitted(job):
                self.faults.append(f"{done} has no permit")
            given_up = await self._world.rows(_GIVEN_UP, job.item.instance, job.execution)
            if given_up and job.where not in self._world.hands.cut:
                self.faults.append(f"{done} had been given up")

    async def timers(self) -> None:
        """No timer outlives its step."""
        kept = await self._world.rows(_KEPT_TIMERS, self._world.tenant)
        self.faults += [f"the timer of step {step} of run {run} was kept" for run, step in kept]

    async def verdict(self) -> list[str]:
        """What is wrong when all has come to its end."""
        world = self._world
        untaken = [f"nobody took {letter}" for letter in await world.rows(_UNTAKEN, world.tenant)]
        findings = await audit(world.db, world.tenant)
        dead = [message_id for (message_id,) in await world.rows(_DEAD, world.tenant)]
        past = Past(world.hands.effects, world.hands.failed, dead)
        wrong = world.model.violations(await world.runs(), past)
        return [*self.faults, *untaken, *findings.violations, *findings.unfinished, *wrong]

    async def _permitted(self, job: Job) -> bool:
        return job.execution in [body["execution"] for body in await self._entries(job, "StepStarted")]

    async def _entries(self, job: Job, kind: str) -> list[dict[str, Any]]:
        rows = await self._world.rows(_ENTRIES, job.item.instance, job.item.run, kind)
        return [body for (body,) in rows]
