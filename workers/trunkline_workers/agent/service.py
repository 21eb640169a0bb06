"""One agent-worker process: its parts, in the order in which they start, and in the reverse order in which they end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import AsyncExitStack, suppress
from functools import partial

from trunkline.authoring.app import App
from trunkline.bus.connection import CoreMessage
from trunkline.bus.consume import Consumer, Consumption, Delivery
from trunkline.domain.errors import NotAMessage, Unavailable
from trunkline.domain.work import Wake
from trunkline.observe import faults, logs
from trunkline.settings import Settings
from trunkline.store import definitions
from trunkline.store.append import Appender
from trunkline.store.deployments import Kind
from trunkline_workers.agent import queue, watching
from trunkline_workers.agent.activation import Activation
from trunkline_workers.agent.at_hand import AtHand
from trunkline_workers.agent.bonds import Bonds
from trunkline_workers.agent.colleagues import Colleagues
from trunkline_workers.agent.conflicts import Conflicts
from trunkline_workers.agent.definitions import Definitions
from trunkline_workers.agent.dispatch import Dispatch
from trunkline_workers.agent.freeing import free
from trunkline_workers.agent.office import Clock, Office
from trunkline_workers.agent.pauses import Pauses
from trunkline_workers.agent.permits import Permits
from trunkline_workers.agent.registry import Registry
from trunkline_workers.agent.replies import Replies
from trunkline_workers.blocking import Blocking
from trunkline_workers.membership import Membership
from trunkline_workers.router.service import Router
from trunkline_workers.starting import Lines, Stopped, connect, unless

log = logs.get("agents")

INBOX_CAPACITY = 1024
REPLY_CAPACITY = 4096
PUT_OFF = 0.5  # seconds that a wake waits on the bus when this worker has no room for it
PASSED_BY = 512  # wakes that a full worker hands back before it looks at no more for as long
LOOK_EVERY = 10.0  # seconds between two readings of Postgres's clock, and between two looks at parked runs


async def serve(
    app: App,
    settings: Settings,
    stop: asyncio.Event,
    on_ready: Callable[[], object] | None = None,
    *,
    clock: Clock | None = None,
) -> None:
    """Run the agents of ``app`` until ``stop`` is set (then drain), or until this worker is declared dead.

    ``clock`` is what handlers are told the time by, if it is not this worker's own.

    Waits for Postgres and NATS at the start, and goes on by itself when they were away.

    Raises:
        Unavailable: a part came to an end, or this worker was declared dead: start it again.
        SchemaMismatch: the database needs ``trunkline migrate``.
        TopologyDrift: a stream is configured differently.
    """
    async with AsyncExitStack() as stack:
        with suppress(Stopped):
            lines = await unless(stop, connect("agents", settings, stack))
            worker = AgentWorker(app, settings, lines, clock or Clock())
            await worker.start(stack)
            if on_ready is not None:
                on_ready()
            await worker.until(stop)
            await worker.drain()


class AgentWorker:
    """The parts of one process."""

    membership: Membership
    registry: Registry
    definitions: Definitions
    blocking: Blocking

    def __init__(self, app: App, settings: Settings, lines: Lines, clock: Clock) -> None:
        self._app, self._settings, self._clock = app, settings, clock
        self.db, self.bus = lines.db, lines.bus
        self._consumptions: list[Consumption] = []
        self._inboxes: list[Consumption] = []
        self._passed_by = 0  # wakes that were handed back since it was last begun to look at them
        self._parts: list[asyncio.Task[None]] = []  # none ends by itself

    async def start(self, stack: AsyncExitStack) -> None:
        """Start every part; ``stack`` ends them."""
        self.membership = Membership("agents", self._app.name, self._settings, self.bus, self.db)
        self._codes = {name: agent.code for name, agent in self._app.agents.items()}
        self.definitions = Definitions(self.db, self._settings.tenant, self._app.agents, self._announce)
        self._announce()
        await self.membership.start()
        stack.push_async_callback(self.membership.stop)
        self.blocking = Blocking(self.db, self.membership.worker_id, self._settings.lease)
        self.blocking.start()
        stack.callback(self.blocking.stop)
        office = await self._office(stack)
        self.registry = Registry(self.db, self.bus, office, self._app.agents)
        self._parts += self.registry.start()
        stack.push_async_callback(self.registry.stop)
        self._router.near = self._near
        self._router.pace.behind = self._behind
        await self._listen(stack)
        await self._free()

    async def until(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, or until this worker should go because its loop was blocked.

        Raises:
            Unavailable: this worker was declared dead, or one of its parts came to an end: it must not go on deaf.
        """
        stopping = asyncio.create_task(stop.wait())
        dying = asyncio.create_task(self.membership.dead.wait())
        blocked = asyncio.create_task(self.blocking.too_long.wait())
        try:
            await asyncio.wait({stopping, dying, blocked, *self._parts}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (stopping, dying, blocked):
                task.cancel()
        if self.membership.dead.is_set():
            await self.registry.stop()
            reason = "the supervisor declared it dead; its instances went elsewhere"
            raise Unavailable(what="this worker", reason=reason)
        for part in self._parts:
            if part.done():
                await self.registry.stop()
                raise Unavailable(what=f"this worker's {part.get_name()}", reason="it ended") from part.exception()

    async def drain(self) -> None:
        """Take nothing new, let what runs locally end, and give back every lease."""
        self.membership.draining = True
        await self._router.stop()
        for consumption in self._consumptions:
            consumption.pause()
        await self.registry.drain()
        for consumption in self._consumptions:
            await consumption.stop()

    # --- parts ------------------------------------------------------------------------------------------------------

    async def _office(self, stack: AsyncExitStack) -> Office:
        agents, tools = self._app.specs()
        versions = await definitions.publish(self.db, self._settings.tenant, agents, tools, ahead=self._clock.ahead)
        self._router = Router(self.db, self.bus, self._settings)
        pauses = Pauses(self.db, self._settings.tenant)
        at_hand = AtHand(self.db, self._settings.tenant, self._router.routes, self.definitions, pauses)
        await at_hand.start()
        stack.push_async_callback(at_hand.stop)
        pauses.resumed = self._on_resumed
        _compare(self.definitions, versions)
        colleagues = Colleagues(self.db, self._settings.tenant, self.membership.worker_id)
        await self._router.start()
        stack.push_async_callback(self._router.stop)
        self._dispatch = Dispatch(self.bus, self.db, self._settings, self.membership.worker_id)
        bonds = Bonds(self.db, self._dispatch)
        stack.push_async_callback(bonds.stop)
        appender = Appender(self.db, wake=self._dispatch.wake)
        self._parts.append(appender.start())
        stack.push_async_callback(appender.close)
        conflicts = Conflicts(self.db)
        stack.callback(conflicts.stop)
        office = Office(
            self._settings,
            self.membership,
            appender=appender,
            dispatch=self._dispatch,
            conflicts=conflicts,
            bonds=bonds,
            routes=self._router.routes,
            pauses=pauses,
            definitions=self.definitions,
            colleagues=colleagues,
            clock=self._clock,
        )
        office.clock.set(await self.db.now())
        clock = asyncio.create_task(self._keep_up(office), name="clock")
        self._parts.append(clock)
        stack.callback(clock.cancel)
        return office

    def _announce(self) -> None:
        """Tell others, with the next beat, which code and definitions this worker has."""
        self.membership.announces = self.definitions.announced(self._app.agents)

    async def _free(self) -> None:
        """Have another look at runs that were parked for want of just this code."""
        tenant, worker = self._settings.tenant, self.membership.worker_id
        if found := await free(self.db, self._dispatch, tenant, worker, self._codes):
            log.info("runs that were parked for want of this code are tried again", runs=found)

    async def _keep_up(self, office: Office) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                office.clock.set(await self.db.now())
                await self._free()
            except Unavailable:
                continue  # what was last measured holds until Postgres is back

    async def _listen(self, stack: AsyncExitStack) -> None:
        settings, subjects, worker = self._settings, self.bus.subjects, self.membership.worker_id
        permits = Permits(self.bus, self.db, self.registry, worker, settings.lease)
        await self.bus.subscribe(subjects.heartbeat(worker), permits.on_own_heartbeat)
        await self.bus.subscribe(subjects.worker_permit(worker), permits.on_request)
        await self.bus.subscribe(subjects.worker_wake(worker), self._on_wake)
        replies = Replies(self.db, self.registry, self._dispatch, settings.ack_wait)
        keeping = asyncio.create_task(replies.keep(), name="replies")
        self._parts.append(keeping)
        stack.callback(keeping.cancel)
        reply = Consumer("REPLY", f"reply-{worker}", subjects.reply(settings.tenant, worker), settings.ack_wait)
        self._consumptions.append(await self.bus.consume(reply, replies.on_delivery, capacity=REPLY_CAPACITY))
        for agent in self._app.agents:
            await self.bus.subscribe(subjects.permit(settings.tenant, agent), permits.on_request, queue="permit")
            inbox = Consumer("INBOX", f"inbox-{settings.tenant}-{agent}", subjects.inbox(settings.tenant, agent), 30.0)
            self._inboxes.append(await self.bus.consume(inbox, self._on_inbox, capacity=INBOX_CAPACITY))
        self._consumptions += self._inboxes
        self.bus.on_wiped(self._on_wiped)

    # --- what arrives -----------------------------------------------------------------------------------------------

    def _on_inbox(self, delivery: Delivery) -> None:
        """A wake that any worker of the agent may take. It is a hint, so it is acknowledged as soon as it is noted."""
        faults.point("wake-received")
        try:
            wake = Wake.read(delivery.data)
        except NotAMessage:
            delivery.term("not a wake")
            return
        if self.registry.closed or (self.registry.full and self.registry.find(wake.instance) is None):
            delivery.nak(PUT_OFF)
            self._passed_by += 1
            if self._passed_by == PASSED_BY:
                self._rest()
            return
        delivery.ack()
        faults.point("wake-acknowledged")
        self.registry.look(wake)

    def _near(self, wake: Wake) -> bool:
        """The router of this process has mail for an instance: whether this worker looks at it."""
        if wake.tenant != self._settings.tenant or wake.agent not in self._app.agents:
            return False
        if self.registry.closed or self.registry.full:
            return False
        self.registry.look(wake)
        return True

    def _behind(self) -> bool:
        """Whether the router of this process is to give way."""
        return self.registry.behind

    def _rest(self) -> None:
        """This worker is full, and most of what waits is not for it: it looks at the next ones in a while. (Handing
        back tens of thousands of wakes again and again would take all its time.)
        """
        for inbox in self._inboxes:
            inbox.pause()
        asyncio.get_running_loop().call_later(PUT_OFF, self._look_on)

    def _look_on(self) -> None:
        self._passed_by = 0
        if not self.registry.closed:
            for inbox in self._inboxes:
                inbox.resume()

    async def _on_wake(self, message: CoreMessage) -> None:
        """A wake for an instance that this worker owns. What is none is passed over: it was only a hint."""
        with suppress(NotAMessage):
            self.registry.look(Wake.read(message.data))

    def _on_resumed(self, agent: str, instances: Collection[str]) -> None:
        """An agent is no longer paused: what waits here begins, and whoever waits elsewhere is looked at."""
        self.registry.every(partial(_go_on, agent))
        for instance in instances:
            self.registry.look(Wake(tenant=self._settings.tenant, agent=agent, instance=instance))

    async def _on_wiped(self) -> None:
        """NATS lost what it held: issue every open remote step again."""
        log.warning("NATS was wiped; issuing open steps again")
        self.registry.every(reissue_remote)


def _compare(declared: Definitions, versions: Mapping[tuple[Kind, str], int]) -> None:
    """Say where new runs will not be as this worker's code declares, because another version was deployed."""
    for (kind, name), own in versions.items():
        if kind == "agent" and declared.current(name) != own:
            log.warning(
                "another definition was deployed than this code declares; to change that: trunkline deploy",
                agent=name,
                deployed=declared.current(name),
                declared=own,
            )


def reissue_remote(activation: Activation) -> None:
    """Issue the activation's open tool and model steps again."""
    for live in list(activation.runs.values()):
        if live.driver is not None and live.calls and not live.parked:
            for step in list(live.driver.open_steps.values()):
                if step.scheduled.key in live.remote.versions and not activation.window.waits(
                    live.run, step.scheduled.key
                ):
                    watching.reissue(activation, live, step, "wiped")


def _go_on(agent: str, activation: Activation) -> None:
    """Begin what waited while its agent was paused."""
    if activation.lease.agent == agent and activation.queue:
        activation.act(partial(queue.go_on, activation))
