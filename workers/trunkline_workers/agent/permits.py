"""Permits: before an ``llm`` or ``unsafe`` item is executed (and any that is redelivered or old), its owner is asked.

The owner answers from memory. Whoever is asked about an instance that it does not hold asks the owner in Postgres; so
does a worker that hears of a later lease than its own, or did nothing for a while: its memory may be of the past.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial

from trunkline.bus.connection import Bus, CoreMessage
from trunkline.domain.codec import dumps
from trunkline.domain.errors import NobodyListens, NotAMessage, Unavailable, UnknownRun
from trunkline.domain.ids import is_id
from trunkline.domain.journal import StepStarted
from trunkline.domain.status import Effect, RunStatus
from trunkline.domain.work import BEGIN_WITHIN, PermitAnswer, PermitRequest
from trunkline.engine.replay import OpenStep
from trunkline.observe import faults
from trunkline.store import leases, runs
from trunkline.store.database import Database
from trunkline_workers.absence import Absence
from trunkline_workers.agent import watching
from trunkline_workers.agent.activation import Activation
from trunkline_workers.agent.hearing import Hearing
from trunkline_workers.agent.live import Live, Permit
from trunkline_workers.agent.registry import Registry
from trunkline_workers.agent.turn import Turn

FORWARD_TIMEOUT = 1.5  # seconds

_NO_REQUEST = dumps(PermitAnswer(answer="refused", reason="not a permit request"))


class Permits:
    """Answers for one worker. Of those that it let begin it wants to hear, to know whether they may still be alive."""

    def __init__(self, bus: Bus, db: Database, registry: Registry, worker: str, lease: float) -> None:
        self._bus, self._db, self._registry, self._worker = bus, db, registry, worker
        self._hearing = Hearing(bus, lease)
        self._absence = Absence(lease)

    async def on_own_heartbeat(self, _: CoreMessage) -> None:
        """It came back: so we know of our silence."""
        self._absence.tick()
        if self._registry.empty:
            await self._hearing.forget()

    async def on_request(self, message: CoreMessage) -> bytes | None:
        """Answer, or have the owner answer. Nothing is said while "go" is being recorded, or may have been said: after
        "later" whoever asks gives the item to others.
        """
        try:
            request = PermitRequest.read(message.data)
        except NotAMessage:
            return _NO_REQUEST
        if not is_id(request.instance):
            return _NO_REQUEST
        await faults.reach("permit-asked")
        activation = self._found(request)
        if activation is not None and not self._absence.casts_doubt_on(time.monotonic()):
            return _body(await self._decide(activation, request))
        return await self._as_postgres_says(request, message.data)

    def _found(self, request: PermitRequest) -> Activation | None:
        """The activation, unless whoever issued the item had a later lease."""
        activation = self._registry.find(request.instance)
        return None if activation is None or activation.lease.epoch < request.epoch else activation

    async def _as_postgres_says(self, request: PermitRequest, data: bytes) -> bytes | None:
        try:
            owner = await leases.owner_of(self._db, request.instance)
            activation = self._found(request)
            if owner == self._worker and activation is not None:
                return _body(await self._decide(activation, request))
            if owner is None or owner == self._worker:
                return dumps(await self._unheld(request))
        except Unavailable as error:
            return dumps(PermitAnswer(answer="later", reason=str(error)))
        return await self._as_the_owner_says(owner, data)

    async def _as_the_owner_says(self, owner: str, data: bytes) -> bytes | None:
        try:
            return await self._bus.request(self._bus.subjects.worker_permit(owner), data, FORWARD_TIMEOUT)
        except NobodyListens as error:
            return dumps(PermitAnswer(answer="later", reason=str(error)))
        except Unavailable:
            return None

    async def _unheld(self, request: PermitRequest) -> PermitAnswer:
        """Nobody has the instance in memory: its run sleeps, or is parked, or has ended."""
        try:
            run = await runs.get(self._db, request.tenant, request.run)
        except UnknownRun:
            return PermitAnswer(answer="refused", reason="there is no such run (any more)")
        if RunStatus(run.status).ended:
            return PermitAnswer(answer="refused", reason="its run has ended")
        return PermitAnswer(answer="later", reason="nobody holds the instance just now")

    async def _decide(self, activation: Activation, request: PermitRequest) -> PermitAnswer | None:
        live = activation.runs.get(request.run)
        if live is not None and live.parked:
            return PermitAnswer(answer="later", reason="the run is parked")
        step = live.driver.open_steps.get(request.step) if live and live.driver else None
        if live is None or step is None:
            return PermitAnswer(answer="refused", reason="the step has ended")
        if request.attempt < step.attempt:
            return PermitAnswer(answer="refused", reason="a later attempt was issued")
        given = live.remote.permits.get(request.step)
        if given is not None and given.execution != request.execution:
            answer = self._contested(step, given)
            if answer is not None:
                return answer
        if step.scheduled.options.get("effect") == Effect.UNSAFE:
            return await self._permit_unsafe(activation, live, step, request)
        live.remote.permits[request.step] = Permit(request.attempt, request.execution, request.worker)
        await self._hearing.attend(request.worker)
        return PermitAnswer(answer="go")

    def _contested(self, step: OpenStep, given: Permit) -> PermitAnswer | None:
        """Another execution was let go: an unsafe step never begins twice, any other when that worker fell silent. Who
        heard nobody for a while cannot tell who did.
        """
        if step.scheduled.options.get("effect") == Effect.UNSAFE:
            return PermitAnswer(answer="refused", reason="it has begun already")
        if self._absence.casts_doubt_on(time.monotonic()) or not self._hearing.silent(given.worker):
            return PermitAnswer(answer="later", reason="it runs already")
        return None

    async def _permit_unsafe(
        self, activation: Activation, live: Live, step: OpenStep, request: PermitRequest
    ) -> PermitAnswer | None:
        """The permit is journalled before the "go"; the same execution gets the same answer, or none yet."""
        if step.started is None:
            self._record(activation, live, step, request)
        permit, started = live.remote.permits.get(request.step), step.started
        if started is None or started.execution != request.execution:
            return PermitAnswer(answer="refused", reason="it has begun already")
        if permit is not None and permit.recorded is not None:
            await asyncio.wait({permit.recorded}, timeout=FORWARD_TIMEOUT)
            if not permit.recorded.done():
                return None
        await faults.reach("permit-recorded")
        return PermitAnswer(
            answer="go", begin_within=min(started.begin_by - activation.office.clock.real(), BEGIN_WITHIN)
        )

    def _record(self, activation: Activation, live: Live, step: OpenStep, request: PermitRequest) -> None:
        assert live.driver is not None
        entry = StepStarted(
            live.run,
            key=request.step,
            attempt=request.attempt,
            execution=request.execution,
            worker=request.worker,
            begin_by=activation.office.clock.real() + BEGIN_WITHIN,
        )
        recorded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        live.remote.permits[request.step] = Permit(request.attempt, request.execution, request.worker, recorded)
        live.driver.deliver(entry)
        watching.watch(activation, live, step)
        activation.submit(Turn(entries=[entry], after=[partial(recorded.set_result, None)]))


def _body(answer: PermitAnswer | None) -> bytes | None:
    return None if answer is None else dumps(answer)
