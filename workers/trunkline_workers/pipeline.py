"""How a work item passes through a tool or LLM worker: one pipeline over one ``Execution``.

    decode → args → gate (rate, concurrency) → permit → perform, within its timeout → publish the outcome → acknowledge

All the way the broker is told that the item is in progress. Whatever cannot be carried out is handed back; nothing is
carried out twice by this worker on purpose: retries are the owner's decision, and an attempt that was finished here is
told again rather than executed again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache, partial
from typing import Any, Protocol, TypeVar

from trunkline.bus.attending import keeping
from trunkline.bus.connection import Bus, CoreMessage, Subscription
from trunkline.bus.consume import Delivery
from trunkline.domain.errors import Unavailable
from trunkline.domain.ids import new_id
from trunkline.domain.status import Effect
from trunkline.domain.work import FRESH_SECONDS, NOT_BEGUN, WorkItem
from trunkline.observe import logs, metrics
from trunkline.observe.faults import reach
from trunkline.settings import Settings
from trunkline.store.database import Database, Unreachable
from trunkline_workers.absence import Absence
from trunkline_workers.cancel import Cancellations
from trunkline_workers.execution import Execution, HandBack, Nonsense, Refused, Result, Station, Stop
from trunkline_workers.executions_log import ExecutionsLog
from trunkline_workers.failures import failure
from trunkline_workers.finished import Finished
from trunkline_workers.intake import anew, args_of, bury, decode
from trunkline_workers.outcomes import body_of, outcome_of
from trunkline_workers.packing import Packing
from trunkline_workers.performing import GRACE, perform
from trunkline_workers.permits import PATIENCE, Permits, Said

log = logs.get("workers")

T = TypeVar("T")

_FIRST_NAK, _LONGEST_NAK = 0.25, 30.0
_LONGEST_RETRY = 5.0
_KEPT = 86400.0  # seconds for which an item is sent anew for an owner that is not there
_HEADERS = 4096  # bytes that the broker may count beyond a message's body


class Member(Protocol):
    """What the pipeline keeps up in the worker's membership."""

    progress: int
    held: int

    @property
    def worker_id(self) -> str: ...


class Pipeline:
    """One for a worker process, shared by all its stations."""

    def __init__(self, settings: Settings, bus: Bus, db: Database, member: Member) -> None:
        self._settings, self._bus, self._db, self._member = settings, bus, db, member
        self._permits = Permits(bus, member.worker_id)
        self._cancellations = Cancellations(bus, settings.tenant)
        self._held: dict[Delivery, asyncio.Task[None]] = {}
        self._begun: dict[tuple[str, str, int], Execution] = {}  # from the asking of the permit to the end
        self._packing = Packing(bus)
        self._finished = Finished()
        self._log = ExecutionsLog(settings.executions_log, member.worker_id)
        self._absence = Absence(settings.ack_wait)
        self._echo: Subscription | None = None
        self._attending = keeping(lambda: self._held, settings.ack_wait)
        self._keeping_alive: asyncio.Task[None] | None = None

    # --- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to listen for cancellations, and to keep items alive.

        Raises:
            Unavailable: NATS is away.
        """
        await self._cancellations.start()
        own_beats = self._bus.subjects.heartbeat(self._member.worker_id)
        self._echo = await self._bus.subscribe(own_beats, self._heard_itself)
        self._keeping_alive = asyncio.create_task(self._attending.run(), name="keep items alive")

    def handler(self, station: Station) -> Callable[[Delivery], Awaitable[None]]:
        """What ``Bus.consume`` calls with the items of ``station``."""
        return partial(self._handle, station)

    async def drain(self, seconds: float) -> None:
        """Hand back what has not begun; give what runs ``seconds`` to finish; stop the rest, and hand it back, too."""
        self._permits.close()
        begun = {execution.delivery for execution in self._begun.values()}
        for delivery, task in list(self._held.items()):
            if delivery not in begun:
                task.cancel()
        await self._settled(seconds)
        for execution in list(self._begun.values()):
            execution.stop(Stop.DRAINED)
        await self._settled(GRACE + 0.5)
        for task in list(self._held.values()):
            task.cancel()
        await self._settled(GRACE)
        await self._cancellations.stop()
        if self._echo is not None:
            await self._echo.unsubscribe()
        if self._keeping_alive is not None:
            self._keeping_alive.cancel()

    async def _settled(self, seconds: float) -> None:
        if self._held:
            await asyncio.wait(list(self._held.values()), timeout=seconds)

    async def _heard_itself(self, _: CoreMessage) -> None:
        """A heartbeat of its own came back: the line carries both ways, and this process is at work."""
        self._absence.tick()

    # --- the way of one item ----------------------------------------------------------------------------------------

    async def _handle(self, station: Station, delivery: Delivery) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._held[delivery] = task
        self._attending.begin()
        self._member.held = len(self._held)
        if delivery.attempts > 1:
            metrics.redelivered.labels(kind=station.kind).inc()
        try:
            execution = Execution(delivery, decode(station, delivery, self._settings.tenant, self._bus.subjects))
            logs.bind(run=execution.item.run, step=execution.item.step)
            became = await self._through(station, execution)
        except Nonsense as reason:
            await bury(self._db, delivery, self._settings.tenant, str(reason))
            became = "failed"
        finally:
            del self._held[delivery]
            self._member.held = len(self._held)
        _executions(station.kind, became).inc()

    async def _through(self, station: Station, execution: Execution) -> str:
        """Carry it out, hand it back, or let it be: what became of it, for the metrics."""
        delivery, item = execution.delivery, execution.item
        if told := self._finished.find(execution.attempt):
            await _until_taken(lambda: self._bus.publish(item.reply, told))
            delivery.ack()
            return "told_again"
        try:
            result = await self._finish(station, execution)
        except HandBack as reason:
            log.info("handed back", name=item.name, attempt=item.attempt, why=str(reason), delay=reason.delay)
            await self._give_back(execution, reason)
            return "handed_back"
        except Refused as reason:
            log.info("refused by its owner", name=item.name, attempt=item.attempt, why=str(reason))
            delivery.ack()
            return "refused"
        delivery.ack()
        await reach("item-acknowledged")
        self._member.progress += 1
        return "failed" if result.error else "done"

    async def _finish(self, station: Station, execution: Execution) -> Result:
        lost = await self._args(execution)
        async with station.gate:
            self._begin(station, execution)
            try:
                result = lost or await self._carry_out(station, execution)
                await self._publish(execution, result)
                await reach("outcome-published")
            finally:
                del self._begun[execution.attempt]
        return result

    async def _args(self, execution: Execution) -> Result | None:
        """Bring the arguments here; a result if they are lost."""
        try:
            execution.args = await args_of(self._db, execution.item)
        except KeyError:
            message = f"the arguments were kept aside as {execution.item.args_ref} and are no longer there"
            return Result(error=failure("ArgumentsLost", message, retryable=False))
        except Unreachable as error:
            raise self._hand_back(execution, str(error), blameless=execution.age < _KEPT) from None
        return None

    def _begin(self, station: Station, execution: Execution) -> None:
        """From here on it is finished rather than handed back when this process is asked to end."""
        if blocked := station.blocked():
            log.warning("takes no more", kind=station.kind, name=station.name, why=blocked)
            raise self._hand_back(execution, blocked)
        if execution.attempt in self._begun:  # the broker lost sight of us, and delivered it again
            raise self._hand_back(execution, "it runs here already", blameless=True)
        if self._finished.find(execution.attempt):  # while this delivery waited at the gate
            raise HandBack("it has just been finished here")
        self._begun[execution.attempt] = execution

    async def _carry_out(self, station: Station, execution: Execution) -> Result:
        await reach("item-received")
        try:
            execution.let_at = await self._permit(execution)
            execution.begins = self._begins
            result = await perform(station, execution, self._cancellations)
        except HandBack as reason:
            if not (reason.permitted and execution.item.effect is Effect.UNSAFE):
                raise
            return _not_begun(execution.item, str(reason))
        await reach("executed")
        return result

    async def _permit(self, execution: Execution) -> float:
        """Pass if nobody need be asked, or the owner said "go" and it is still time. Returns as of when (monotonic)."""
        item = execution.item
        if item.probe:
            execution.id = new_id()
            return time.monotonic()
        if self._cancellations.called_off(item.run, item.step):
            raise Refused("nobody waits for it any more")
        again = execution.delivery.attempts > 1 or self._absence.casts_doubt_on(execution.received_at)
        if not (item.needs_permit or again or execution.age > FRESH_SECONDS):
            execution.id = new_id()
            return time.monotonic()
        said = await self._permits.ask(item)
        execution.id, answer = said.execution, said.answer
        if answer is None or answer.answer == "later":
            raise await self._given_up(execution, said)
        if answer.answer == "refused":
            self._permits.used(item)
            raise Refused(answer.reason)
        await reach("permit-received")
        if item.effect is Effect.UNSAFE:  # this execution begins now, or never
            self._permits.used(item)
        within = max(self._settings.ack_wait, PATIENCE) if answer.begin_within is None else answer.begin_within
        if time.monotonic() - said.asked_at >= within:
            raise self._hand_back(execution, "the permit came too late", permitted=True)
        return said.asked_at

    async def _given_up(self, execution: Execution, said: Said) -> HandBack:
        """It may not begin now. If it may have been let begin, it never will: that is told, and counts if it was."""
        if said.answer is None:
            why, blameless = "no permission could be had", execution.age < _KEPT
        else:
            why, blameless = said.answer.reason or "the owner said: later", True
        if said.lost:
            self._permits.used(execution.item)
            await self._publish(execution, _not_begun(execution.item, why))
        return self._hand_back(execution, why, blameless=blameless)

    def _begins(self, execution: Execution) -> None:
        """It was let begin, and does so now. If this process was stopped in between, others may have been asked, and be
        done.
        """
        if self._absence.since(execution.let_at):
            raise self._hand_back(execution, "this process was away when it was to begin", permitted=True)
        if not execution.item.probe:
            self._permits.used(execution.item)
            self._log.note(execution.item)

    async def _publish(self, execution: Execution, result: Result) -> None:
        """Hand the outcome to the broker, however long that takes: the work is done, and may have been paid for."""
        outcome = outcome_of(execution, result, self._member.worker_id)
        offload_over = min(self._settings.offload_over, self._bus.max_payload - _HEADERS)
        body = await _until_taken(lambda: body_of(self._db, outcome, self._settings.max_payload, offload_over))
        await _until_taken(lambda: self._packing.send(execution.item.reply, body))
        if outcome.probe:
            return
        self._permits.used(execution.item)
        if not (result.error or {}).get("unknown"):  # of that a probe can tell more
            self._finished.remember(execution.attempt, body)

    # --- what is not carried out ------------------------------------------------------------------------------------

    def _hand_back(
        self, execution: Execution, why: str, *, blameless: bool = False, permitted: bool = False
    ) -> HandBack:
        """With a delay that grows with the deliveries: their number is limited."""
        delay = min(_FIRST_NAK * 2.0 ** (execution.delivery.attempts - 1), _LONGEST_NAK)
        return HandBack(why, delay, blameless=blameless, permitted=permitted)

    async def _give_back(self, execution: Execution, reason: HandBack) -> None:
        """After its last delivery the broker would give it up for one that kills its workers, and its step would fail.
        One that is not to blame is sent anew instead: for a day, or for as long as its owner says "later".
        """
        delivery = execution.delivery
        if reason.blameless and delivery.attempts >= self._settings.max_deliver:
            with suppress(Unavailable):
                await self._bus.publish(delivery.subject, anew(delivery, execution.item))
                delivery.ack()
                return
        delivery.nak(reason.delay)


def _not_begun(item: WorkItem, why: str) -> Result:
    """For the owner of an unsafe item that was let begin: nobody else may begin it before that is told."""
    log.info("did not begin", name=item.name, attempt=item.attempt, why=why)
    return Result(error=failure(NOT_BEGUN, f"it did not begin: {why}", retryable=False), probe=True)


async def _until_taken(send: Callable[[], Awaitable[T]]) -> T:
    delay = _FIRST_NAK
    while True:
        try:
            return await send()
        except Unavailable as error:
            log.warning("the outcome cannot be sent yet", why=str(error))
        await asyncio.sleep(delay)
        delay = min(delay * 2, _LONGEST_RETRY)


@cache
def _executions(kind: str, became: str) -> Any:
    """Finding a metric by its labels costs more than counting."""
    return metrics.executions.labels(kind=kind, outcome=became)
