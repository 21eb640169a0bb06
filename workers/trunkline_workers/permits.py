"""Asking an item's owner whether it may be carried out. Without an answer it is not."""

from __future__ import annotations

from collections import OrderedDict

from trunkline.bus.connection import Bus
from trunkline.domain import codec
from trunkline.domain.errors import NotAMessage, Unavailable
from trunkline.domain.ids import new_id
from trunkline.domain.work import PermitAnswer, PermitRequest, WorkItem

PATIENCE = 2.0  # seconds for an answer
_REMEMBERED = 10_000

Attempt = tuple[str, str, int]


class Permits:
    """Gives every execution its id, and keeps it until the execution begins or is refused.

    So an answer that was lost on the way is given again when this worker asks again, while an execution that began
    never shares its permit with a later one.
    """

    def __init__(self, bus: Bus, worker: str) -> None:
        self._bus, self._worker = bus, worker
        self._ids: OrderedDict[Attempt, str] = OrderedDict()

    async def ask(self, item: WorkItem) -> tuple[str, PermitAnswer | None]:
        """The execution id that was asked for, and the owner's answer: ``None`` when there was none to be had."""
        execution = self._id(item)
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
        try:
            answer = await self._bus.request(subject, codec.dumps(request), PATIENCE)
            return execution, PermitAnswer.read(answer)
        except (Unavailable, NotAMessage):
            return execution, None

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
