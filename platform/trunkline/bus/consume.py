"""Reading a stream's durable consumer: by callback, with pull requests that overlap, as far as there is room.

``fetch`` of nats-py waits for one request to end before it makes the next; here the next is made while the last is
still being served (``pulling``), and never for more than ``capacity`` minus what is being worked on. Whatever ends a
request out of turn (a deleted consumer, a wiped server, silence) leads to one repair at a time, with growing delays.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trunkline.bus.parsing import headers_of
from trunkline.bus.pulling import Inbox
from trunkline.domain.errors import Unavailable
from trunkline.engine.rhythm import until_next

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus

log = logging.getLogger(__name__)

WATCH_EVERY = 2.0  # seconds
_FIRST_DELAY = 0.05
_LONGEST_DELAY = 2.0
_WORTH_TELLING = 0.5
_LONGEST_NAK = 30.0
_WAITING_REQUESTS = 4096
_NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Consumer:
    """A durable consumer of ``stream`` (without the prefix). ``subject`` filters; empty for all. Times in seconds."""

    stream: str
    durable: str
    subject: str = ""
    ack_wait: float = 3.0
    max_deliver: int = -1  # without a limit
    max_ack_pending: int = 65_536  # over all who read it

    def config(self) -> dict[str, object]:
        """As JetStream's API takes it."""
        return {
            "durable_name": self.durable,
            "name": self.durable,
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": int(self.ack_wait * _NANO),
            "max_deliver": self.max_deliver,
            "max_ack_pending": self.max_ack_pending,
            "max_waiting": _WAITING_REQUESTS,
            "replay_policy": "instant",
            **({"filter_subject": self.subject} if self.subject else {}),
        }


class Delivery:
    """One message in hand. Exactly one of ``ack``, ``nak`` and ``term`` counts, the first; none of them waits."""

    __slots__ = ("_consumption", "_headers", "_reply", "_settled", "_subject", "_tokens", "data")

    def __init__(self, subject: bytes, reply: bytes, data: bytes, headers: bytes, consumption: Consumption) -> None:
        self.data = data
        self._subject, self._reply, self._headers = subject, reply, headers
        self._consumption = consumption
        self._tokens: list[bytes] | None = None  # of the reply subject, once they are asked for
        self._settled = False

    @property
    def subject(self) -> str:
        return self._subject.decode(errors="replace")

    @property
    def headers(self) -> dict[str, str]:
        return headers_of(self._headers)

    @property
    def settled(self) -> bool:
        return self._settled

    @property
    def attempts(self) -> int:
        """How many times it has been delivered, this one included."""
        return int(self._token(-5))

    @property
    def stream_seq(self) -> int:
        """Its place in the stream."""
        return int(self._token(-4))

    @property
    def published_at(self) -> float:
        """When the stream stored it, in seconds since the epoch by the server's clock."""
        return int(self._token(-2)) / _NANO

    def ack(self) -> None:
        """It is done with."""
        self._settle(b"+ACK")

    def nak(self, delay: float = 0.0) -> None:
        """Deliver it again, to anybody, after ``delay`` seconds."""
        self._settle(b'-NAK {"delay":%d}' % int(delay * _NANO) if delay > 0 else b"-NAK")

    def term(self, reason: str) -> None:
        """Never deliver it again: an advisory with ``reason`` becomes a dead letter."""
        self._settle(b"+TERM " + " ".join(reason.split()).encode(errors="replace")[:500])

    def in_progress(self) -> None:
        """It is being worked on: the time for the acknowledgement starts over."""
        if not self._settled:
            self._consumption.answer(self._reply, b"+WPI")

    def _settle(self, word: bytes) -> None:
        if not self._settled:
            self._settled = True
            self._consumption.answer(self._reply, word)
            self._consumption.settled()

    def _token(self, index: int) -> bytes:
        # $JS.ACK.[domain.account.]stream.consumer.deliveries.stream seq.consumer seq.time.pending[.random]
        if self._tokens is None:
            tokens = self._reply.split(b".")
            self._tokens = tokens[:11] if len(tokens) > 9 else tokens
        return self._tokens[index]


Handler = Callable[[Delivery], Awaitable[None] | None]


class Consumption:
    """A consumer being read, made by ``Bus.consume``. ``in_flight`` messages are in the handler's hands."""

    def __init__(self, bus: Bus, spec: Consumer, handler: Handler, capacity: int) -> None:
        self.spec = spec
        self.in_flight = 0
        self._bus, self._handler, self._capacity = bus, handler, max(1, capacity)
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{bus.subjects.stream_name(spec.stream)}.{spec.durable}"
        self._loop = asyncio.get_running_loop()
        self._inbox: Inbox | None = None
        self._delay = _FIRST_DELAY  # before the next repair
        self._paused = self._stopped = False
        self._repair: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()  # handlers at work, and old inboxes being emptied

    # --- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Make the consumer and begin.

        Raises:
            Unavailable: JetStream is away, or refuses the consumer; the reason is its own.
        """
        try:
            await self._open()
        except BaseException:
            await self.stop()
            raise
        self._watch = asyncio.create_task(self._keep_watch(), name=f"bus watch {self.spec.durable}")

    async def stop(self, *, handover: bool = True) -> None:
        """Ask for no more, and hand back what comes that was asked for (unless ``handover`` is false: it is then
        delivered again after its ``ack_wait``). What is in the handler's hands stays there, and may still be settled.
        """
        self._stopped = True
        for task in (self._watch, self._repair):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._bus.forget(self)
        inbox, self._inbox = self._inbox, None
        if inbox is not None:
            await inbox.close(handover=handover and self._bus.connected)

    def pause(self) -> None:
        """Ask for no more until ``resume``. What was asked for before may still come."""
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._pull()

    def limit(self, capacity: int) -> None:
        """From now on at most so many messages in the handler's hands. What was asked for before may still come."""
        self._capacity = max(1, capacity)
        self._pull()

    def renew(self) -> None:
        """Begin afresh: after a reconnect, and when the stream was made anew."""
        self._begin_repair("beginning afresh")

    async def _open(self) -> None:
        await self._bus.make_consumer(self.spec)
        self._inbox = Inbox(self._bus, self._next, self._arrived, self._ended)
        await self._inbox.open()
        self._pull()

    # --- what comes -------------------------------------------------------------------------------------------------

    def _arrived(self, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        self._delay = _FIRST_DELAY
        self.in_flight += 1
        self._hand(Delivery(subject, reply, data, headers, self))
        self._pull()

    def _ended(self, reason: str) -> None:
        """A request came to its end: in its time (no ``reason``), or not."""
        if reason:
            self._begin_repair(reason)
        else:
            self._delay = _FIRST_DELAY
            self._pull()

    def _hand(self, delivery: Delivery) -> None:
        try:
            work = self._handler(delivery)
        except Exception as error:  # noqa: BLE001  # logged there
            self._failed(delivery, error)
            return
        if work is not None:
            self._keep(self._loop.create_task(self._finish(work, delivery)))

    async def _finish(self, work: Awaitable[None], delivery: Delivery) -> None:
        try:
            await work
        except asyncio.CancelledError:
            delivery.nak()
            raise
        except Exception as error:  # noqa: BLE001  # logged there
            self._failed(delivery, error)

    def _failed(self, delivery: Delivery, error: Exception) -> None:
        log.error("%s: the handler failed on a message of %s", self.spec.durable, delivery.subject, exc_info=error)
        delivery.nak(min(2.0 ** (delivery.attempts - 1), _LONGEST_NAK))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- what is answered and asked ---------------------------------------------------------------------------------

    def answer(self, reply: bytes, word: bytes) -> None:
        """Send an acknowledgement, of whatever kind."""
        self._bus.answer(reply, word)

    def settled(self) -> None:
        """A message left the handler's hands."""
        self.in_flight -= 1
        self._pull()

    def _pull(self) -> None:
        inbox = self._inbox
        if inbox is None or self._paused or self._repair is not None:
            return
        room = self._capacity - self.in_flight - inbox.asked
        # A request for few waits for the others to run out.
        if room >= max(1, self._capacity // 4) or (room > 0 and not inbox.asked):
            inbox.ask(room)

    # --- repair -----------------------------------------------------------------------------------------------------

    def _begin_repair(self, reason: str) -> None:
        if self._repair is None and not self._stopped:
            self._repair = asyncio.create_task(self._mend(reason), name=f"bus repair {self.spec.durable}")

    async def _mend(self, reason: str) -> None:
        """Hand back what old requests still bring, and begin anew; for as long as it takes."""
        log.debug("%s: %s", self.spec.durable, reason)
        old, self._inbox = self._inbox, None
        if old is not None:
            self._keep(asyncio.create_task(old.close(handover=self._bus.connected)))
        told: set[type[Exception]] = set()
        while (error := await self._reopen()) is not None:
            foreseen = isinstance(error, Unavailable)
            worth = not foreseen or (self._bus.connected and self._delay > _WORTH_TELLING)
            if worth and type(error) not in told:
                told.add(type(error))
                trace = None if foreseen else error
                log.warning("%s cannot be read: %s; trying on", self.spec.durable, error, exc_info=trace)
        self._repair = None
        self._pull()

    async def _reopen(self) -> Exception | None:
        """One try, after a delay: why it failed. Whatever that is, who gave up here would be deaf for ever."""
        await asyncio.sleep(self._delay)
        self._delay = min(self._delay * 2, _LONGEST_DELAY)
        try:
            await self._open()
        except Exception as error:  # noqa: BLE001 - told by who asked
            return error
        return None

    async def _keep_watch(self) -> None:
        while True:
            await asyncio.sleep(until_next(WATCH_EVERY, time.monotonic()))
            if self._inbox is not None and self._bus.connected and self._inbox.silent:
                self._begin_repair("the server fell silent")
