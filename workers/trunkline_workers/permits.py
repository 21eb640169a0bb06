"""Asking an item's owner whether it may be carried out. Without an answer it is not."""

from __future__ import annotations

import asyncio
import math
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
_PAUSE, _LONGEST_PAUSE = 0.25, 2.0  # seconds before an answer that may be lost is asked for again
_LONGEST = 15.0  # seconds for which it is, with the item in hand
_REMEMBERED = 10_000

Attempt = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Said:
    """What was asked, when (monotonic), and the owner's answer: ``None`` when there was none to be had. ``lost`` is
    whether one was lost that may have let an unsafe item begin.
    """

    execution: str
    asked_at: float
    answer: PermitAnswer | None
    lost: bool


@dataclass(slots=True)
class _Asking:
    """One execution's. ``lost_at`` is when an answer of its was last lost (monotonic), which may have been "go"."""

    execution: str
    lost_at: float = -math.inf


class Permits:
    """Gives every execution its id, and keeps it until the execution begins or never will.

    So an answer that was lost on the way is given again when this worker asks again, while an execution that began
    never shares its permit with a later one.
    """

    def __init__(self, bus: Bus, worker: str) -> None:
        self._bus, self._worker = bus, worker
        self._askings: OrderedDict[Attempt, _Asking] = OrderedDict()
        self._closed = False

    def close(self) -> None:
        """Ask nobody again."""
        self._closed = True

    async def ask(self, item: WorkItem) -> Said:
        """Ask the owner. An answer that is lost may have let an unsafe item begin, which nobody else may then. So the
        owner is asked again until it says something certain: once beyond the time to begin, if no more answers are
        lost, and for a while at most.
        """
        asking, since, pause = self._asking(item), time.monotonic(), _PAUSE
        while True:
            asked_at = time.monotonic()
            answer = await self._once(item, asking)
            certain = answer is not None and answer.answer != "later"
            lost = item.effect is Effect.UNSAFE and asking.lost_at > -math.inf
            in_doubt = lost and asked_at < asking.lost_at + BEGIN_WITHIN
            if certain or not in_doubt or self._closed or asked_at >= since + _LONGEST:
                return Said(asking.execution, asked_at, answer, lost)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _once(self, item: WorkItem, asking: _Asking) -> PermitAnswer | None:
        request = PermitRequest(
            tenant=item.tenant,
            instance=item.instance,
            agent=item.agent,
            run=item.run,
            step=item.step,
            attempt=item.attempt,
            epoch=item.epoch,
            worker=self._worker,
            execution=asking.execution,
        )
        subject = self._bus.subjects.permit(item.tenant, item.agent)
        try:
            return PermitAnswer.read(await self._bus.request(subject, codec.dumps(request), PATIENCE))
        except NobodyListens:
            return None
        except (Unavailable, NotAMessage):
            asking.lost_at = time.monotonic()
            return None

    def used(self, item: WorkItem) -> None:
        """The execution begins, or never will: another one of this attempt gets another id."""
        self._askings.pop(_attempt(item), None)

    def _asking(self, item: WorkItem) -> _Asking:
        attempt = _attempt(item)
        asking = self._askings.setdefault(attempt, _Asking(new_id()))
        self._askings.move_to_end(attempt)
        while len(self._askings) > _REMEMBERED:
            self._askings.popitem(last=False)
        return asking


def _attempt(item: WorkItem) -> Attempt:
    return item.run, item.step, item.attempt
