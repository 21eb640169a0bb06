"""After the commit: work items, wakes, events and hints go out on the bus. Nothing here is the only copy of a fact."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from trunkline.bus.connection import Bus
from trunkline.bus.events import publish_event
from trunkline.domain.codec import dumps
from trunkline.domain.errors import PayloadTooLarge, Unavailable
from trunkline.domain.events import CloudEvent
from trunkline.domain.ids import derived_id
from trunkline.domain.status import Effect, StepKind
from trunkline.domain.work import AlarmSet, RunEnded, Wake, WorkItem
from trunkline.engine.replay import OpenStep
from trunkline.observe import faults, logs
from trunkline.settings import Settings
from trunkline.store import payloads
from trunkline.store.database import Database
from trunkline_workers.agent.live import Live

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation

log = logs.get("dispatch")


class Dispatch:
    """Publishes for one worker, whose outcomes come back to its own reply subject."""

    def __init__(self, bus: Bus, db: Database, settings: Settings, worker: str) -> None:
        self._bus, self._db, self._settings, self._worker = bus, db, settings, worker
        self._alarm_at = 0.0  # monotonic
        self._tasks: set[asyncio.Task[None]] = set()

    def wake(self, tenant: str, agent: str, instance: str) -> None:
        """Tell whoever may lease the instance (or holds it) that there is mail for it."""
        wake = Wake(tenant=tenant, agent=agent, instance=instance)
        self._bus.publish_soon(self._bus.subjects.inbox(tenant, agent), dumps(wake))

    def ended(self, tenant: str, run: str, status: str) -> None:
        self._bus.send(self._bus.subjects.ended(tenant, run), dumps(RunEnded(run=run, status=status)))

    def cancel(self, tenant: str, run: str, step: str) -> None:
        """Ask whoever carries the step out to stop. It may be too late."""
        self._bus.send(self._bus.subjects.cancel(tenant, run), dumps({"step": step}))

    def alarm(self, delay: float) -> None:
        """Tell the supervisor of a timer that falls due in so many seconds. It need not hear of one that is later than
        another that it was told of, if that is still to come: then it looks for the next one itself.
        """
        now = time.monotonic()
        if not now < self._alarm_at <= now + delay:
            self._alarm_at = now + delay
            self._bus.send(self._bus.subjects.alarm(), dumps(AlarmSet(seconds=max(delay, 0.0))))

    def event(self, tenant: str, event: CloudEvent) -> None:
        """The copy for outsiders of an event that an agent emitted."""
        self._soon(publish_event(self._bus, tenant, event))

    def work(self, activation: Activation, live: Live, step: OpenStep) -> None:
        """Publish an attempt of a tool or model step."""
        item = self._item(activation, live, step)
        self._publish(step, item, f"{item.instance}:{item.run}:{item.step}:{item.attempt}:{item.epoch}")

    def probe(self, activation: Activation, live: Live, step: OpenStep, number: int) -> None:
        """Have a tool worker find out what became of the step's attempt; ``number`` tells such askings apart."""
        item = self._item(activation, live, step).model_copy(update={"probe": True})
        msg_id = f"{item.instance}:{item.run}:{item.step}:{item.attempt}:{item.epoch}:probe:{number}"
        self._publish(step, item, msg_id)

    def _publish(self, step: OpenStep, item: WorkItem, msg_id: str) -> None:
        options = step.scheduled.options
        if item.kind == "tool":
            subject = self._bus.subjects.tool(item.tenant, str(options["app"]), item.name)
        else:
            subject = self._bus.subjects.llm(item.tenant, str(options.get("pool") or "default"))
        body = dumps(item)
        if len(body) > self._settings.offload_over:
            self._soon(self._offload(item, subject, msg_id))
        elif not self._bus.publish_soon(subject, body, msg_id=msg_id):  # a turn may ask for more than is taken at once
            self._soon(self._bus.publish(subject, body, msg_id=msg_id))
        faults.point("item-published")

    def _item(self, activation: Activation, live: Live, step: OpenStep) -> WorkItem:
        assert live.driver is not None
        lease, scheduled = activation.lease, step.scheduled
        return WorkItem(
            tenant=lease.tenant,
            instance=lease.instance,
            agent=lease.agent,
            run=live.run,
            step=scheduled.key,
            version=live.remote.versions.get(scheduled.key, 0),
            attempt=step.attempt,
            epoch=lease.epoch,
            reply=self._bus.subjects.reply(lease.tenant, self._worker),
            kind="tool" if scheduled.kind == StepKind.TOOL else "llm",
            name=scheduled.name,
            args=live.driver.payload(scheduled.key),
            effect=Effect(scheduled.options.get("effect") or Effect.PURE),
            idempotency_key=derived_id("step", live.run, scheduled.key),
            timeout=float(scheduled.options.get("timeout") or 60.0),
            published_at=time.time(),
        )

    async def _offload(self, item: WorkItem, subject: str, msg_id: str) -> None:
        """A large payload is kept aside in Postgres; the item carries its id."""
        ref = derived_id("args", item.run, item.step)
        await payloads.put(self._db, item.tenant, ref, item.args, run=item.run)
        await self._bus.publish(subject, dumps(item.model_copy(update={"args": None, "args_ref": ref})), msg_id=msg_id)

    def _soon(self, work: Any) -> None:
        task = asyncio.create_task(_quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _quietly(work: Any) -> None:
    """What is not sent now is sent by the watch over still steps, or was for outsiders only."""
    try:
        await work
    except (Unavailable, PayloadTooLarge) as error:
        log.warning("could not be published: %s", error)
