"""The bus as the rest of Trunkline sees it: one object a process, over one connection.

FastStream's broker holds the connection (``line``) and is there for users' own handlers; core messages, JetStream's
publishes (``publish``) and its consumers (``consume``) run on the same nats-py client directly: measured on one core,
FastStream's core subscriptions take a sixth, and its requests half, of what the client carries.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from faststream.nats import NatsBroker
from nats import errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription

from trunkline.bus.consume import Consumer, Consumption, Handler
from trunkline.bus.line import Line
from trunkline.bus.outbox import Headers, Outbox
from trunkline.bus.publish import Publisher, PublishStats
from trunkline.bus.subjects import Subjects
from trunkline.bus.topology import Topology, call_api
from trunkline.bus.watch import Watch, Wiped
from trunkline.bus.wire import WireClient
from trunkline.domain.errors import NobodyListens, Unavailable
from trunkline.settings import Settings

log = logging.getLogger(__name__)

AT_ONCE = 1024  # messages of one core subscription that are worked on at the same time
_CLOSE_WITHIN = 2.0
_MSG_ID = "Nats-Msg-Id"


@dataclass(frozen=True, slots=True)
class CoreMessage:
    """A message that was not stored. ``reply`` is where an answer goes; empty when none is wanted."""

    subject: str
    data: bytes
    reply: str = ""
    headers: dict[str, str] = field(default_factory=dict)


CoreHandler = Callable[[CoreMessage], Awaitable[bytes | None]]


class Bus:
    """Made by ``Bus.connect``. Reconnects for ever; meanwhile publishes wait, and core messages and requests fail."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.subjects = Subjects(settings.namespace)
        self._line = Line(settings, name, self._on_reconnected)
        self._topology = Topology(settings, self.request)
        self._outbox: Outbox
        self._publisher: Publisher
        self._consumptions: list[Consumption] = []
        self._watch = Watch(self._topology, lambda: self.connected, self._renew)

    @classmethod
    async def connect(cls, settings: Settings, *, name: str, wait: float | None = None) -> Bus:
        """Connect as ``name`` (shown by the server). With ``wait``, keep trying for so many seconds.

        Raises:
            Unavailable: there was no server to be had, or it did not let us in.
            NotConfigured: the settings contradict each other, or need a library that is missing.
        """
        bus = cls(settings, name)
        await bus._line.connect(wait)
        bus._outbox = Outbox(bus.client)
        bus._publisher = Publisher(bus.client, bus._outbox, connected=lambda: bus.connected, suspect=bus._suspect)
        await bus._publisher.start()
        return bus

    @property
    def client(self) -> WireClient:
        """The nats-py client; for this package."""
        return self._line.client

    @property
    def broker(self) -> NatsBroker:
        """FastStream's broker, connected but not started: for subscribers and publishers of users' own."""
        return self._line.broker

    @property
    def connected(self) -> bool:
        return self._line.connected

    @property
    def max_payload(self) -> int:
        """Most bytes of one message, as the server says."""
        return int(self.client.max_payload)

    @property
    def stats(self) -> PublishStats:
        """What was published since the start."""
        return self._publisher.stats

    async def drain(self) -> None:
        """Wait until all that was published is acknowledged, and all else is with the server."""
        await self._publisher.drained()
        await self._outbox.flush()
        if self.connected:
            await self.client.flush()

    async def close(self) -> None:
        """End the connection. Acknowledgements that were given are sent; publishes under way have a moment."""
        await self._watch.close()
        for consumption in list(self._consumptions):
            await consumption.stop()
        if self.connected:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_WITHIN):
                    await self._publisher.drained()
        await self._publisher.close()
        try:
            async with asyncio.timeout(_CLOSE_WITHIN):
                await self._outbox.flush()
        except TimeoutError:
            log.debug("closed with messages unsent")
        await self._outbox.close()
        await self._line.close()

    # --- JetStream --------------------------------------------------------------------------------------------------

    async def publish(
        self, subject: str, body: bytes, *, msg_id: str | None = None, headers: Headers | None = None
    ) -> None:
        """Store ``body`` in the stream that takes ``subject``; returns at JetStream's acknowledgement, however often
        the connection is lost until then. It may be stored twice (``msg_id`` makes that rarer).

        Raises:
            PayloadTooLarge: the server takes less.
            Unavailable: no stream takes it, or JetStream refuses it, or the bus was closed.
        """
        await self._publisher.publish(subject, body, _headers(msg_id, headers))

    def publish_soon(self, subject: str, body: bytes, *, msg_id: str | None = None) -> bool:
        """The same without waiting: for what may be lost (wakes). Failures are logged and counted in ``stats``.

        Returns:
            False when too much is under way: it was dropped. What should not be is then to be published in earnest.
        """
        return self._publisher.publish_soon(subject, body, _headers(msg_id, None))

    async def consume(self, spec: Consumer, handler: Handler, *, capacity: int) -> Consumption:
        """Make the consumer if it is missing, and read it until ``Consumption.stop``, with at most ``capacity``
        messages in the handler's hands. ``handler`` is called for each message, in order; an awaitable that it returns
        becomes a task. When it raises, the message is handed back with a delay that grows.

        Raises:
            Unavailable: JetStream is away, or refuses the consumer.
        """
        consumption = Consumption(self, spec, handler, capacity)
        self._consumptions.append(consumption)
        await consumption.start()
        return consumption

    async def make_consumer(self, spec: Consumer) -> None:
        """Make the durable consumer, or bring it to this configuration.

        Raises:
            Unavailable: JetStream is away, has no such stream, or refuses; the reason is its own.
        """
        stream = self.subjects.stream_name(spec.stream)
        body = {"stream_name": stream, "config": spec.config(), "action": ""}
        filter_ = f".{spec.subject}" if spec.subject else ""
        answer = await call_api(self.request, f"CONSUMER.CREATE.{stream}.{spec.durable}{filter_}", body)
        if error := answer.get("error"):
            if self._topology.declared:
                self._watch.suspect()
            reason = error.get("description") or "it was refused"
            raise Unavailable(what=f"Consumer {spec.durable} of stream {stream}", reason=reason)

    def forget(self, consumption: Consumption) -> None:
        """``consumption`` has stopped."""
        if consumption in self._consumptions:
            self._consumptions.remove(consumption)

    # --- core -------------------------------------------------------------------------------------------------------

    def inbox(self) -> str:
        """A subject that nobody else uses."""
        return str(self.client.new_inbox())

    def send(self, subject: str, body: bytes, reply: str = "") -> None:
        """Send and forget. It is lost when nobody listens, or when there is no server just now."""
        if not self._outbox.send(subject, body, reply):
            self.stats.dropped += 1

    def answer(self, reply: bytes, word: bytes) -> None:
        """Send ``word`` to the reply subject of a message that JetStream delivered; for this package."""
        if not self._outbox.answer(reply, word):
            self.stats.dropped += 1

    async def request(self, subject: str, body: bytes, timeout: float) -> bytes:  # noqa: ASYNC109
        """Ask whoever listens on ``subject``, and return the first answer.

        Raises:
            NobodyListens: nobody heard it.
            Unavailable: there was no answer within ``timeout`` seconds, or there is no server.
        """
        if not self.connected:
            raise Unavailable(what="NATS", reason="there is no connection just now")
        try:
            answer: Msg = await _for_certain(self.client.request(subject, body, timeout))
        except errors.NoRespondersError:
            raise NobodyListens(what=subject) from None
        except errors.TimeoutError:
            raise Unavailable(what=subject, reason=f"no answer within {timeout:g} s") from None
        except errors.Error as error:
            raise Unavailable(what=subject, reason=str(error) or type(error).__name__) from None
        return bytes(answer.data)

    async def subscribe(self, subject: str, handler: CoreHandler, queue: str = "") -> Subscription:
        """Call ``handler`` for every message on ``subject``; members of a ``queue`` share them. What it returns is the
        answer. Up to ``AT_ONCE`` messages are worked on side by side.

        Raises:
            Unavailable: the bus is closed.
        """
        subscription = Subscription(self, handler)
        await subscription.start(subject, queue)
        return subscription

    # --- topology ---------------------------------------------------------------------------------------------------

    async def declare(self) -> None:
        """Make the streams that are missing, and from now on whenever NATS loses them.

        Raises:
            TopologyDrift: a stream is there with another configuration.
            Unavailable: JetStream is away, or refuses.
        """
        await self._topology.declare()
        self._watch.start()

    async def check(self) -> list[str]:
        """What is wrong with the streams, a line each.

        Raises:
            Unavailable: JetStream is away.
        """
        return await self._topology.check()

    async def incarnation(self) -> str:
        """Changes when NATS was wiped.

        Raises:
            Unavailable: JetStream is away.
        """
        return await self._topology.incarnation()

    def on_wiped(self, callback: Wiped) -> None:
        """Call ``callback`` after WORK or REPLY was lost and is there again, empty; consumers are being made anew."""
        self._watch.wiped.append(callback)

    def _suspect(self, subject: str) -> bool:
        """A message for ``subject`` found no stream. Whether one of ours should have taken it."""
        if self.subjects.stored_in(subject) is None:
            return False
        self._watch.suspect()
        return True

    def _renew(self) -> None:
        """The connection, or the streams, are not those that they were."""
        for consumption in list(self._consumptions):
            consumption.renew()
        self._publisher.reconnected()

    async def _on_reconnected(self) -> None:
        self._renew()
        self._watch.suspect()


class Subscription:
    """A core subscription, made by ``Bus.subscribe``."""

    def __init__(self, bus: Bus, handler: CoreHandler) -> None:
        self._bus, self._handler = bus, handler
        self._places = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._inner: NatsSubscription | None = None

    async def start(self, subject: str, queue: str) -> None:
        try:
            self._inner = await self._bus.client.subscribe(subject, queue=queue, cb=self._arrived)
        except errors.Error as error:
            raise Unavailable(what=subject, reason=str(error) or type(error).__name__) from None

    async def unsubscribe(self) -> None:
        """Hear no more. What is being worked on goes on."""
        inner, self._inner = self._inner, None
        if inner is None:
            return
        try:
            await inner.unsubscribe()
        except errors.Error:
            log.debug("unsubscribed after the connection was closed")

    async def _arrived(self, message: Msg) -> None:
        await self._places.acquire()
        task = asyncio.create_task(self._work(message))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._places.release()

    async def _work(self, message: Msg) -> None:
        try:
            answer = await self._handler(
                CoreMessage(message.subject, message.data, message.reply, message.headers or {})
            )
        except Exception:
            log.exception("the handler of %s failed", message.subject)
            return
        if answer is not None and message.reply:
            self._bus.send(message.reply, answer)


async def _for_certain(asking: Coroutine[Any, Any, Msg]) -> Msg:
    """Await nats-py's request in a task of its own: inside it, Python 3.11's ``wait_for`` forgets a cancellation that
    comes together with the answer, and whoever waits for the end of a cancelled task would wait for ever.
    """
    task = asyncio.ensure_future(asking)
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        task.cancel()
        raise
    return task.result()


def _headers(msg_id: str | None, headers: Headers | None) -> Headers | None:
    if msg_id is None:
        return headers
    return {**(headers or {}), _MSG_ID: msg_id}
