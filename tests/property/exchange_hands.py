"""Tool workers that a test leads by the hand: each job stops after every thing that it does, and may go no further.

Every job stands for a tool worker of its own, so that two of one step know nothing of each other.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from property.exchange_agents import FACTORS
from property.exchange_lines import Fuse, Message, Wire
from trunkline.domain.codec import dumps
from trunkline.domain.errors import Unavailable
from trunkline.domain.ids import derived_id, new_id
from trunkline.domain.status import Effect
from trunkline.domain.work import NOT_BEGUN, Outcome, PermitAnswer, PermitRequest, WorkItem

if TYPE_CHECKING:
    from property.exchange_world import World

PATIENCE = 2.0  # seconds


@dataclass(frozen=True)
class Done:
    """Something that took place in the world outside."""

    run: str
    step: str
    place: int
    tool: str
    attempt: int
    key: str
    execution: str


@dataclass(eq=False)
class Job:
    """``state``: taken → asking → allowed → told off, or done (then it has its outcome)."""

    item: WorkItem
    message: Message
    execution: str
    state: str = "taken"
    begin_by: float = 0.0
    asking: asyncio.Task[None] | None = None

    @property
    def where(self) -> tuple[str, int]:
        return self.item.run, int(self.item.args["place"])


class Hands:
    """``effects`` is the ledger of all that was done; ``failed`` are the places where a failure was told."""

    def __init__(self, world: World) -> None:
        self.jobs: list[Job] = []
        self.effects: list[Done] = []
        self.failed: set[tuple[str, int]] = set()
        self.cut: set[tuple[str, int]] = set()
        self._world = world
        self._called_off: set[tuple[str, str]] = set()
        self._wire = Wire(world.pool, world.subjects, Fuse())

    def take(self, message: Message) -> None:
        """An item was delivered. It stays in its stream until the job has an end."""
        message.deliveries += 1
        self.jobs.append(Job(WorkItem.model_validate_json(message.data), message, new_id()))

    def call_off(self, run: str, step: str) -> None:
        self._called_off.add((run, step))

    def die(self, job: Job) -> None:
        """The tool worker dies. Its item is delivered again some time."""
        self.jobs.remove(job)
        if job.asking is not None:
            job.asking.cancel()

    async def go_on(self, job: Job) -> None:
        """The next thing that the job does."""
        if job.state == "asking" or job not in self.jobs:
            return
        if job.state == "taken":
            self._begin(job)
        elif job.state == "allowed":
            await self._execute(job)
        else:
            self._tell(job, value=job.item.args["number"] * FACTORS[job.item.name])

    async def fail(self, job: Job) -> None:
        """It fails instead, before it had any effect."""
        if job.state == "allowed":
            self.failed.add(job.where)
            safe = job.item.effect is not Effect.UNSAFE
            self._tell(job, error={"type": "Broken", "message": "the test says so", "retryable": safe})

    async def cut_off(self, job: Job, *, after_effect: bool) -> None:
        """An unsafe one runs out of time, and cannot say whether it had its effect."""
        if job.state != "allowed" or job.item.effect is not Effect.UNSAFE:
            return
        if after_effect:
            await self._execute(job)
        if job in self.jobs:
            self.cut.add(job.where)
            self._tell(job, error={"type": "TimedOut", "message": "cut off", "retryable": False, "unknown": True})

    # --- inside -----------------------------------------------------------------------------------------------------

    def _begin(self, job: Job) -> None:
        if (job.item.run, job.item.step) in self._called_off:
            self._settle(job)
        elif job.item.needs_permit or job.message.deliveries > 1:
            job.state = "asking"
            job.asking = self._world.spawn(self._ask(job))
        else:
            job.state = "allowed"

    async def _ask(self, job: Job) -> None:
        item = job.item
        request = PermitRequest(
            tenant=item.tenant, instance=item.instance, agent=item.agent, run=item.run, step=item.step,
            attempt=item.attempt, epoch=item.epoch, worker=job.execution, execution=job.execution,
        )  # fmt: skip
        subject, asked_at = self._wire.subjects.permit(item.tenant, item.agent), self._world.clock.now()
        try:
            answer = PermitAnswer.model_validate_json(await self._wire.request(subject, dumps(request), PATIENCE))
        except Unavailable:
            job.state = "taken"  # to ask again, as the same execution
            return
        if answer.answer == "go":
            job.state = "allowed"
            job.begin_by = 0.0 if answer.begin_within is None else asked_at + answer.begin_within
            await self._world.watch.permit(job)
        elif answer.answer == "refused":
            self._settle(job)
        else:
            self.jobs.remove(job)

    async def _execute(self, job: Job) -> None:
        if job.begin_by and self._world.clock.now() >= job.begin_by:  # only an unsafe one has such a time
            error = {"type": NOT_BEGUN, "message": "the permit came too late", "retryable": False}
            self._tell(job, error=error, probe=True)
            return
        item = job.item
        run, place = job.where
        done = Done(run, item.step, place, item.name, item.attempt, item.idempotency_key, job.execution)
        await self._world.watch.effect(job, done)
        self.effects.append(done)
        job.state = "done"

    def _tell(self, job: Job, **result: Any) -> None:
        item = job.item
        outcome = Outcome(
            tenant=item.tenant, instance=item.instance, agent=item.agent, run=item.run, step=item.step,
            attempt=item.attempt, worker=job.execution, execution=job.execution, effect=item.effect, **result,
        )  # fmt: skip
        self._wire.publish_soon(item.reply, dumps(outcome))
        self._settle(job)

    def _settle(self, job: Job) -> None:
        self._world.pool.discard(job.message)
        self.jobs.remove(job)


def key_of(run: str, step: str) -> str:
    """The idempotency key that every attempt of a step must have."""
    return derived_id("step", run, step)
