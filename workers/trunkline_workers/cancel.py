"""Stopping work that nobody waits for any more: a hint on a core subject, which may come too late or not at all.

It is kept for a while, because the item may still lie in its queue. A step that was called off never comes again.
"""

from __future__ import annotations

from trunkline.bus.connection import Bus, CoreMessage, Subscription
from trunkline.domain import codec
from trunkline.domain.errors import BadJson
from trunkline_workers.execution import Execution, Stop

MOST_KEPT = 10_000


class Cancellations:
    """The executions under way that may be stopped, by run; and the steps that were called off lately."""

    def __init__(self, bus: Bus, tenant: str) -> None:
        self._bus, self._subject = bus, bus.subjects.cancel(tenant, "*")
        self._by_run: dict[str, set[Execution]] = {}
        self._called_off: dict[tuple[str, str], None] = {}
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        self._subscription = await self._bus.subscribe(self._subject, self._heard)

    async def stop(self) -> None:
        if self._subscription is not None:
            await self._subscription.unsubscribe()

    def add(self, execution: Execution) -> None:
        self._by_run.setdefault(execution.item.run, set()).add(execution)

    def discard(self, execution: Execution) -> None:
        of_run = self._by_run.get(execution.item.run, set())
        of_run.discard(execution)
        if not of_run:
            self._by_run.pop(execution.item.run, None)

    def called_off(self, run: str, step: str) -> bool:
        """Whether nobody waits for this step any more, as far as was heard."""
        return (run, step) in self._called_off

    async def _heard(self, message: CoreMessage) -> None:
        try:
            body = codec.loads(message.data)
        except BadJson:
            return
        step = body.get("step") if isinstance(body, dict) else None
        run = message.subject.rpartition(".")[2]
        self._called_off[run, str(step)] = None
        if len(self._called_off) > MOST_KEPT:
            del self._called_off[next(iter(self._called_off))]
        for execution in list(self._by_run.get(run, ())):
            if execution.item.step == step:
                execution.stop(Stop.CANCELLED)
