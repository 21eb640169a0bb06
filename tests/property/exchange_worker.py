"""An agent worker made of its real parts, which can be killed, paused or drained at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from property.exchange_lines import Fuse, Line, Message, Wire
from trunkline import App
from trunkline.bus.connection import CoreMessage
from trunkline.domain.errors import Fenced, Unavailable, WorkerDead
from trunkline.domain.ids import new_worker_id
from trunkline.domain.work import Heartbeat, Wake
from trunkline.store import workers
from trunkline.store.append import Append, Appender
from trunkline.store.append import Wake as Wakes
from trunkline.store.group import Then
from trunkline_workers.agent.activation import Activation
from trunkline_workers.agent.bonds import Bonds
from trunkline_workers.agent.colleagues import Colleagues
from trunkline_workers.agent.conflicts import Conflicts
from trunkline_workers.agent.definitions import Definitions
from trunkline_workers.agent.dispatch import Dispatch
from trunkline_workers.agent.hearing import Hearing
from trunkline_workers.agent.office import Office
from trunkline_workers.agent.pauses import Pauses
from trunkline_workers.agent.permits import Permits
from trunkline_workers.agent.registry import Registry
from trunkline_workers.agent.replies import Replies
from trunkline_workers.router.routes import Routes

if TYPE_CHECKING:
    from property.exchange_world import World


class Worker:
    """``gone``: nothing of it is left in memory. ``declared`` or ``left``: its instances may belong to others."""

    registry: Registry
    appender: Appender

    def __init__(self, world: World) -> None:
        self.worker_id = new_worker_id()
        self.progress = self.held = 0  # an office keeps these up
        self.fuse = Fuse()
        self.line = Line(world.db, self.fuse, world.turns, world.stirred.set)
        self.wire = Wire(world.pool, world.subjects, self.fuse)
        self.gone = self.declared = self.left = False
        self.world = world
        self.tasks: set[asyncio.Task[None]] = set()  # what it does at somebody's word
        self._parts: list[asyncio.Task[None]] = []

    @classmethod
    async def start(cls, world: World, app: App) -> Worker:
        worker = cls(world)
        name, tenant = worker.worker_id, world.tenant
        beat = Heartbeat(worker=name, kind="agents", tenant=tenant, host="here", pid=1, started_at=1.0)
        await workers.join(world.db, beat)
        worker._make(app)
        return worker

    def _make(self, app: App) -> None:
        world, line, wire = self.world, self.line, self.wire
        dispatch = Dispatch(wire, line, world.settings, self.worker_id)  # type: ignore[arg-type]
        self.appender = WatchedAppender(line, self, dispatch.wake)
        self._bonds = Bonds(line, dispatch)
        office = Office(
            world.settings,
            self,  # type: ignore[arg-type]
            appender=self.appender,
            dispatch=dispatch,
            conflicts=Conflicts(line),
            bonds=self._bonds,
            routes=Routes(line),
            pauses=Pauses(line, "default"),
            definitions=Definitions(line, world.tenant, ()),  # type: ignore[arg-type]
            colleagues=Colleagues(line, world.tenant, self.worker_id),
            clock=world.clock,  # type: ignore[arg-type]
        )
        self.registry = WatchedRegistry(line, wire, office, app.agents)  # type: ignore[arg-type]
        self.registry.faults = world.watch.faults
        self._permits = Permits(wire, line, self.registry, self.worker_id, world.settings.lease)  # type: ignore[arg-type]
        # Who has an item in hand here dies with it: no earlier execution is alive when somebody else asks.
        self._permits._hearing = Hearing(wire, 0.0)  # type: ignore[arg-type]
        self._replies = Replies(line, self.registry, dispatch, world.settings.ack_wait)
        self._parts = [self.appender.start(), *self.registry.start()]

    @property
    def departed(self) -> bool:
        return self.declared or self.left

    @property
    def alive(self) -> bool:
        """Neither dead nor taken for dead."""
        return not self.gone and not self.departed

    @property
    def holds(self) -> bool:
        """Whether any instance is in its memory."""
        return bool(self.registry._held)

    @property
    def fallen(self) -> bool:
        """It has died, or one of its parts has ended: its process ends."""
        return not self.gone and (self.fuse.blown or any(part.done() for part in self._parts))

    # --- what arrives -----------------------------------------------------------------------------------------------

    def on_inbox(self, message: Message) -> None:
        if not self.registry.closed:
            self.world.pool.discard(message)
            self.registry.look(Wake.model_validate_json(message.data))

    def on_wake(self, message: Message) -> None:
        self.registry.look(Wake.model_validate_json(message.data))

    async def on_reply(self, message: Message) -> None:
        try:
            work = self._replies.on_delivery(Delivered(message, self))  # type: ignore[arg-type]
            if work is not None:
                await work
        except Unavailable:
            return  # it is delivered again

    async def on_permit(self, message: Message, *, answered: bool) -> None:
        answer = await self._permits.on_request(CoreMessage(message.subject, message.data))
        waits = answered and message.reply is not None and not message.reply.done()
        if waits and answer is not None and self.fuse.send():
            message.reply.set_result(answer)

    def acknowledge(self, message: Message) -> None:
        if self.fuse.send():
            self.world.pool.discard(message)

    # --- the end ----------------------------------------------------------------------------------------------------

    async def drain(self) -> None:
        """As ``AgentWorker.drain`` and what follows it."""
        try:
            await self.registry.drain()
        except Unavailable:
            self.fuse.blow()  # as a process that ends by an error
            return
        self.left = self.gone = True
        await self.appender.close()
        await self.line.lookups.close()

    async def bury(self) -> None:
        """Forget all that is in its memory."""
        for part in self._parts:
            error = part.exception() if part.done() and not part.cancelled() else None
            if error is not None and not isinstance(error, WorkerDead):
                self.world.watch.faults.append(f"a part of a worker ended: {error!r}")
        self.fuse.blow()
        self.gone = True
        await self.registry.stop()
        await self._bonds.stop()
        ending = [*self._parts, *self.tasks]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await self.line.lookups.close()


class WatchedAppender(Appender):
    """Says when an append is settled, and tells of what somebody appended who had been declared dead before."""

    def __init__(self, line: Line, worker: Worker, wake: Wakes) -> None:
        super().__init__(line, wake=wake)
        self._worker = worker

    def submit(self, append: Append, then: Then) -> None:
        super().submit(append, partial(self._settled, self._worker.declared, then))

    def _settled(self, too_late: bool, then: Then, error: BaseException | None) -> None:
        then(error)
        world = self._worker.world
        world.stirred.set()
        if too_late and error is None:
            world.watch.faults.append(f"{self._worker.worker_id} was declared dead, and appended")


class WatchedRegistry(Registry):
    """Tells of turns that failed for another reason than a fence."""

    faults: list[str]

    def _lose(self, activation: Activation, error: BaseException | None, letters: Iterable[int]) -> None:
        if error is not None and not isinstance(error, Fenced | Unavailable):
            self.faults.append(f"an activation was dropped: {error!r}")
        super()._lose(activation, error, letters)


class Delivered:
    """A message of the reply stream in a worker's hands: see ``trunkline.bus.consume.Delivery``."""

    def __init__(self, message: Message, worker: Worker) -> None:
        self.subject, self.data, self.headers = message.subject, message.data, dict[str, Any]()
        self._message, self._worker = message, worker
        message.deliveries += 1

    def ack(self) -> None:
        self._worker.acknowledge(self._message)

    def nak(self, delay: float = 0.0) -> None:
        """It stays where it is."""

    def term(self, reason: str) -> None:
        self._worker.registry.faults.append(f"terminated: {reason}")  # type: ignore[attr-defined]
