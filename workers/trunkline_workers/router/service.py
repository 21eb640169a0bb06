"""The router: events from EVENTS become mail of the agents that subscribe. Any number may run; any serves all
tenants.

An event is acknowledged when its letters are committed, and not before. What cannot be routed becomes a dead letter
with the reason, and is acknowledged as well. An event that comes again finds the same letters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from trunkline.bus.connection import Bus
from trunkline.bus.consume import Consumer, Consumption, Delivery
from trunkline.bus.gathering import Gathering
from trunkline.domain.codec import dumps
from trunkline.domain.errors import MailboxFull
from trunkline.domain.work import Wake
from trunkline.observe import faults, logs, metrics
from trunkline.settings import Settings
from trunkline.store.accept import accept
from trunkline.store.database import Database
from trunkline.store.dead_letters import add
from trunkline.store.failures import reason, refuses
from trunkline_workers.router.holding import Holding
from trunkline_workers.router.pace import Pace
from trunkline_workers.router.reading import Reading, read
from trunkline_workers.router.routes import Routes

log = logs.get("router")

DURABLE = "router"
BATCH = 512


class Router:
    """Runs between ``start`` and ``stop``. ``routes`` is what it knows of subscriptions, for others in its process.

    ``near`` is offered each wake first, and says whether it took it: a worker that can run the instance itself spares
    the bus two messages and their acknowledgements. Events are shared out among all routers, and so are the instances.
    ``pace`` is how it gives way to what has begun there.
    """

    def __init__(self, db: Database, bus: Bus, settings: Settings) -> None:
        self.routes = Routes(db)
        self.near: Callable[[Wake], bool] = lambda _: False
        self.pace = Pace()
        self._db, self._bus, self._settings = db, bus, settings
        self._gathering = Gathering("router", self._work, most=BATCH, ack_wait=settings.ack_wait)
        self._consumption: Consumption | None = None
        self._holding = Holding()

    async def start(self) -> None:
        """Begin to route. While Postgres is away events wait on the bus.

        Raises:
            Unavailable: NATS is away.
        """
        self._gathering.start()
        self._consumption = await self._bus.consume(
            Consumer(stream="EVENTS", durable=DURABLE, ack_wait=self._settings.ack_wait, max_deliver=-1),
            self._gathering.put,
            capacity=self.pace.room(),
        )

    async def stop(self) -> None:
        """Take no more; finish the batch at hand, and hand back the rest."""
        self.pace.end()
        if self._consumption is not None:
            await self._consumption.stop()
        await self._gathering.stop()

    async def _work(self, batch: Sequence[Delivery]) -> None:
        begun = time.monotonic()
        await self._route(batch, begun)
        if self._consumption is not None:
            self._consumption.limit(self.pace.room())
        await self.pace.rest(time.monotonic() - begun)

    async def _route(self, batch: Sequence[Delivery], arrived: float) -> None:
        """Decode, find the subscribers, commit, acknowledge, wake."""
        readings = [read(delivery, self._settings.max_payload) for delivery in batch]
        await faults.reach("event-received")
        await self._know_of(readings, arrived)
        for reading in readings:
            reading.route(self.routes)
        taken = readings
        accepted = await self._accept([reading for reading in readings if reading.letters])
        readings = [one for one in readings if not (one.crowded and self._holding.keep_back(one.delivery))]
        await self._keep_objections(readings)
        for reading in readings:
            reading.delivery.ack()
            metrics.events.labels(outcome=_outcome(reading, accepted)).inc()
        await faults.reach("event-acknowledged")
        self._wake(taken)

    async def _know_of(self, readings: Sequence[Reading], arrived: float) -> None:
        """An event is nobody's only by a table of subscriptions that was read after it came."""
        if self.routes.loaded_at < arrived and any(reading.strange(self.routes) for reading in readings):
            await self.routes.refresh()

    async def _accept(self, readings: Sequence[Reading]) -> set[str]:
        """Commit all letters. What Postgres will not take is told apart by halves, and becomes an objection.

        Returns:
            the message ids that were new, each with its instance.
        """
        if not readings:
            return set()
        letters = [letter for reading in readings for letter in reading.letters]
        try:
            results = await accept(self._db, letters, most=self._settings.max_mailbox)
        except MailboxFull as error:
            for reading in readings:
                reading.put_aside(error.fields["instances"])
            return await self._accept([reading for reading in readings if reading.letters])
        except Exception as error:
            if not refuses(error):
                raise
            if len(readings) == 1:
                readings[0].objections.append(reason(error))
                readings[0].letters.clear()
                return set()
            middle = len(readings) // 2
            return await self._accept(readings[:middle]) | await self._accept(readings[middle:])
        return {one.instance + letter.message_id for letter, one in zip(letters, results, strict=True) if one.new}

    async def _keep_objections(self, readings: Sequence[Reading]) -> None:
        for reading in readings:
            for id_, letter in reading.dead_letters():
                await add(self._db, letter, id_=id_)
                metrics.dead_letters.labels(source="event").inc()
                log.warning("an event became a dead letter", subject=letter.subject, reason=letter.detail)

    def _wake(self, readings: Sequence[Reading]) -> None:
        addressed = {(one.tenant, one.agent, one.instance) for reading in readings for one in reading.letters}
        for tenant, agent, instance in addressed:
            wake = Wake(tenant=tenant, agent=agent, instance=instance)
            if not self.near(wake):
                self._bus.publish_soon(self._bus.subjects.inbox(tenant, agent), dumps(wake))


def _outcome(reading: Reading, new: set[str]) -> str:
    """What became of an event, as the metrics name it."""
    if reading.objections or reading.crowded:
        return "bad"
    if not reading.letters:
        return "unrouted"
    return "accepted" if any(one.instance + one.message_id in new for one in reading.letters) else "duplicate"
