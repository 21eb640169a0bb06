"""What JetStream gave up: advisories of DEAD become dead letters, with the original message where it can still be
read.

A step must not hang because its message ran out of deliveries: its instance gets an outcome that says so. An outcome
that its owner could not take becomes mail. A lost wake is only noted: the reconciler finds its instance.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NoReturn

from pydantic import Field

from trunkline.bus import stored
from trunkline.bus.connection import Bus
from trunkline.bus.consume import Consumer, Delivery
from trunkline.bus.gathering import Gathering
from trunkline.bus.stored import Stored
from trunkline.bus.subjects import Stream
from trunkline.domain.codec import loads
from trunkline.domain.errors import BadJson, NotAMessage
from trunkline.domain.ids import derived_id
from trunkline.domain.status import Effect
from trunkline.domain.work import Message, Outcome, WorkItem
from trunkline.observe import faults, logs, metrics
from trunkline.settings import Settings
from trunkline.store.changes import DeadLetter
from trunkline.store.database import Database
from trunkline.store.dead_letters import add, readable
from trunkline.store.replies import post_outcomes
from trunkline.supervisor.wakes import wake

log = logs.get("supervisor")

DURABLE = "deadletters"
CAPACITY = 256
BATCH = 32
KEPT = ("EVENTS",)  # streams whose messages stay, for others to read


class Advisory(Message):
    """What we need of ``io.nats.jetstream.advisory.v1.max_deliver`` and ``….terminated``."""

    id: str
    type: str
    stream: str
    consumer: str
    stream_seq: int = Field(ge=1, lt=2**63)
    deliveries: int = 0
    reason: str = ""

    @property
    def what(self) -> str:
        """The dead letter's reason."""
        return "terminated" if self.type.endswith(".terminated") else "ran out of deliveries"


class DeadLetters:
    """Reads DEAD under one durable name, so that whoever leads goes on where the last leader stopped."""

    def __init__(self, db: Database, bus: Bus, settings: Settings) -> None:
        self._db, self._bus, self._settings = db, bus, settings

    async def run(self) -> NoReturn:
        gathering = Gathering("dead letters", self._keep, most=BATCH, ack_wait=self._settings.ack_wait)
        gathering.start()
        try:
            consumption = await self._bus.consume(self._consumer(), gathering.put, capacity=CAPACITY)
            try:
                await asyncio.Event().wait()
            finally:
                await consumption.stop()
        finally:
            await gathering.stop()
        raise AssertionError("an event that nobody sets was set")

    def _consumer(self) -> Consumer:
        return Consumer(stream="DEAD", durable=DURABLE, ack_wait=self._settings.ack_wait)

    async def _keep(self, batch: Sequence[Delivery]) -> None:
        for delivery in batch:
            await self._keep_one(delivery)
            await faults.reach("dead-letter-kept")
            delivery.ack()
            metrics.dead_letters.labels(source="advisory").inc()

    async def _keep_one(self, delivery: Delivery) -> None:
        try:
            advisory = Advisory.read(delivery.data)
        except NotAMessage as error:
            await self._give_up(delivery, str(error))
            return
        stream = advisory.stream.removeprefix(self._bus.subjects.stream_name(""))
        if stream not in set(Stream):
            await self._give_up(delivery, f"{advisory.stream} is none of our streams")
            return
        message = await stored.get(self._bus, stream, advisory.stream_seq)
        letters = await post_outcomes(self._db, _outcomes(stream, message, advisory))
        await add(self._db, self._letter(advisory, message), id_=derived_id("advisory", advisory.id))
        if message is not None and stream not in KEPT:
            await stored.delete(self._bus, stream, message.seq)
        log.warning("dead letter", stream=stream, consumer=advisory.consumer, reason=advisory.what)
        await wake(self._bus, [(letter.tenant, letter.agent, letter.instance) for letter in letters])

    def _letter(self, advisory: Advisory, message: Stored | None) -> DeadLetter:
        where = f"consumer {advisory.consumer} of {advisory.stream}, message {advisory.stream_seq}"
        detail = f"{where}: {advisory.reason}" if advisory.reason else where
        return DeadLetter(
            tenant=message.subject.split(".")[1] if message else self._settings.tenant,
            source="advisory",
            reason=advisory.what,
            detail=detail if message else f"{detail}; the message can no longer be read",
            subject=message.subject if message else "",
            body=_body(message.data) if message else None,
            attempts=advisory.deliveries,
        )

    async def _give_up(self, delivery: Delivery, reason: str) -> None:
        tenant, body = self._settings.tenant, readable(delivery.data)
        await add(self._db, DeadLetter(tenant, "advisory", "not understood", reason, delivery.subject, body))


def _outcomes(stream: str, message: Stored | None, advisory: Advisory) -> list[Outcome]:
    """What the instances of steps are told, if the message belonged to any."""
    if message is None or stream not in ("WORK", "REPLY"):
        return []
    try:
        if stream == "REPLY":
            return Outcome.read_all(message.data)
        item = WorkItem.read(message.data)
        # Whether an unsafe step took effect only its owner can judge: it knows of permits, and has deadlines for both.
        return [] if item.effect is Effect.UNSAFE else [_undeliverable(item, advisory)]
    except NotAMessage:
        return []


def _undeliverable(item: WorkItem, advisory: Advisory) -> Outcome:
    message = f"{item.kind} {item.name} was handed out {advisory.deliveries} times and nobody answered"
    return Outcome(
        tenant=item.tenant,
        instance=item.instance,
        agent=item.agent,
        run=item.run,
        step=item.step,
        attempt=item.attempt,
        worker="supervisor",
        error={"type": "Undeliverable", "message": message, "retryable": False},
    )


def _body(data: bytes) -> Any:
    try:
        return loads(data)
    except BadJson:
        return readable(data)
