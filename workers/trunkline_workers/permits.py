"""Asking an item's owner whether it may be carried out. Without an answer it is not."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass

from trunkline.bus.connection import Bus
from trunkline.domain import codec
from trunkline.domain.errors import NobodyListens, NotAMessage, Unavailable
from trunkline.domain.ids import new_id
from trunkline.domain.status import Effect
from trunkline.domain.work import BEGIN_WITHIN, PermitAnswer, PermitRequest, WorkItem

PATIENCE = 2.0  # seconds for an answer
_PAUSE = 0.25  # seconds before an answer that may be lost is asked for again
_REMEMBERED = 10_000

Attempt = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Said:
    """What was asked, when (monotonic), and the owner's answer: ``None`` when there was none to be had."""

    execution: str
    asked_at: float
    answer: PermitAnswer | None


class Permits:
    """Gives every execution its id, and keeps it until the execution begins or is refused.

    So an answer that was lost on the way is given again when this worker asks again, while an execution that began
    never shares its permit with a later one.
    """

    def __init__(self, bus: Bus, worker: str) -> None:
        self._bus, self._worker = bus, worker
        self._ids: OrderedDict[Attempt, str] = OrderedDict()

    async def ask(self, item: WorkItem) -> Said:
        """Ask the owner. An answer that is lost may have let an unsafe item begin, which nobody else may then; and NATS
        may have lost the item as well. So the owner is asked again for as long as it could yet begin, unless nobody
        can have heard.
        """
        execution = self._id(item)
        until, heard = time.monotonic() + BEGIN_WITHIN, False
        while True:
            asked_at = time.monotonic()
            try:
                return Said(execution, asked_at, await self._once(item, execution))
            except NobodyListens:
                pass
            except (Unavailable, NotAMessage):
                heard = True
            if not heard or item.effect is not Effect.UNSAFE or time.monotonic() >= until:
                return Said(execution, asked_at, None)
            await asyncio.sleep(_PAUSE)

    async def _once(self, item: WorkItem, execution: str) -> PermitAnswer:
        request = PermitRequest(
            tenant=item.tenant,
            instance=item.instance,
            agent=item.agent,
            run=item.run,
            step=item.step,
            attempt=item.attempt,
            epoch=item.epoch,
            worker=self._worker,
            execution=execution,
        )
        subject = self._bus.subjects.permit(item.tenant, item.agent)
        return PermitAnswer.read(await self._bus.request(subject, codec.dumps(request), PATIENCE))

    def used(self, item: WorkItem) -> None:
        """The execution begins, or never will: another one of this attempt gets another id."""
        self._ids.pop(_attempt(item), None)

    def _id(self, item: WorkItem) -> str:
        execution = self._ids.setdefault(_attempt(item), new_id())
        while len(self._ids) > _REMEMBERED:
            self._ids.popitem(last=False)
        return execution


def _attempt(item: WorkItem) -> Attempt:
    return item.run, item.step, item.attempt
