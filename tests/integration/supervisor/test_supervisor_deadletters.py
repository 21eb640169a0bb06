"""What JetStream gave up is kept with its reason, and no step hangs because of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from watching import AGENT, TENANT, Beating, mail, outcome, owned, rows, woken

from trunkline.bus import stored
from trunkline.bus.connection import Bus
from trunkline.bus.consume import Consumer, Delivery
from trunkline.domain.codec import dumps
from trunkline.domain.mail import Envelope
from trunkline.domain.work import Wake, WorkItem
from trunkline.settings import Settings
from trunkline.store.database import Database
from trunkline.supervisor.deadletters import DeadLetters

pytestmark = pytest.mark.usefixtures("keeping")


@pytest.fixture
async def keeping(db: Database, bus: Bus, quick: Settings) -> AsyncIterator[None]:
    task = asyncio.create_task(DeadLetters(db, bus, quick).run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def letter(db: Database, beating: Callable[..., Beating]) -> Envelope:
    """A request to an instance that somebody has."""
    worker = await beating().join()
    [letter] = await owned(db, worker.worker)
    return letter


async def refuse(bus: Bus, stream: str, subject: str, body: bytes, *, terminate: str = "") -> None:
    """Publish, and let the one delivery fail."""

    def fail(delivery: Delivery) -> None:
        if terminate:
            delivery.term(terminate)
        else:
            delivery.nak()

    await bus.publish(subject, body)
    await bus.consume(Consumer(stream, "refusing", subject, ack_wait=0.2, max_deliver=1), fail, capacity=1)


def item(letter: Envelope, **fields: Any) -> WorkItem:
    fields.setdefault("kind", "tool")
    return WorkItem(
        tenant=TENANT, instance=letter.instance, agent=AGENT, run=letter.run, step="tool:t#1", version=2, attempt=1,
        epoch=1, reply="r", name="t", args={"text": "café"}, idempotency_key="k", timeout=1.0, published_at=1.0,
        **fields,
    )  # fmt: skip


async def kept(db: Database) -> list[tuple[Any, ...]]:
    return await rows(db, "select tenant, source, reason, subject, body, attempts from dead_letters")


async def test_a_work_item_that_ran_out_of_deliveries_fails_its_step(
    bus: Bus, db: Database, letter: Envelope, eventually: Any
) -> None:
    subject = bus.subjects.tool(TENANT, "app", "t")
    await refuse(bus, "WORK", subject, dumps(item(letter)))
    [row] = await eventually(lambda: kept(db))
    assert row[:4] == (TENANT, "advisory", "ran out of deliveries", subject)
    assert row[4]["args"] == {"text": "café"}
    assert row[5] == 1
    [answer] = await mail(db, letter, "reply")
    assert answer["step"] == "tool:t#1"
    assert answer["error"] == {
        "type": "Undeliverable",
        "message": "tool t was handed out 1 times and nobody answered",
        "retryable": False,
    }
    await eventually(lambda: woken(bus))
    assert await woken(bus) == [letter.instance]
    await eventually(lambda: _empty(bus, "WORK"))


async def test_a_terminated_message_is_noted_though_it_can_no_longer_be_read(
    bus: Bus, db: Database, letter: Envelope, eventually: Any
) -> None:
    await refuse(bus, "WORK", bus.subjects.tool(TENANT, "app", "t"), b"{", terminate="not a work item")
    await eventually(lambda: kept(db))
    [(reason, detail)] = await rows(db, "select reason, detail from dead_letters")
    assert reason == "terminated"
    assert "not a work item" in detail


async def test_an_event_that_was_given_up_stays_in_its_stream(bus: Bus, db: Database, eventually: Any) -> None:
    subject = bus.subjects.event(TENANT, "order.placed")
    await refuse(bus, "EVENTS", subject, b'{"not":"an event"}')
    [row] = await eventually(lambda: kept(db))
    assert row == (TENANT, "advisory", "ran out of deliveries", subject, {"not": "an event"}, 1)
    assert await stored.subjects(bus, "EVENTS") == {subject: 1}


async def test_a_lost_wake_is_only_noted(bus: Bus, db: Database, letter: Envelope, eventually: Any) -> None:
    subject = bus.subjects.inbox(TENANT, AGENT)
    await refuse(bus, "INBOX", subject, dumps(Wake(tenant=TENANT, agent=AGENT, instance=letter.instance)))
    [row] = await eventually(lambda: kept(db))
    assert row[3] == subject
    assert await mail(db, letter, "reply") == []
    await eventually(lambda: _empty(bus, "INBOX"))


async def test_an_outcome_that_its_owner_could_not_take_becomes_mail(
    bus: Bus, db: Database, letter: Envelope, eventually: Any
) -> None:
    await refuse(bus, "REPLY", bus.subjects.reply(TENANT, "w"), dumps(outcome(letter, value="late")))
    await eventually(lambda: kept(db))
    assert [body["value"] for body in await mail(db, letter, "reply")] == ["late"]


async def test_bytes_that_are_no_json_are_kept_readable(bus: Bus, db: Database, eventually: Any) -> None:
    await refuse(bus, "EVENTS", bus.subjects.event(TENANT, "x"), b"\xff\x00 plain")
    [row] = await eventually(lambda: kept(db))
    assert "plain" in row[4]
    assert "\x00" not in row[4]


async def _empty(bus: Bus, stream: str) -> bool:
    return not await stored.subjects(bus, stream)


@pytest.mark.parametrize("wrong", [{"stream": "nowhere"}, {"stream_seq": -1}, {"stream_seq": 2**70}])
async def test_an_advisory_of_nothing_of_ours_is_kept_and_nobody_waits_for_it(
    wrong: dict[str, Any], bus: Bus, db: Database, eventually: Any
) -> None:
    work = bus.subjects.stream_name("WORK")
    advisory = {"id": "x", "type": "t", "stream": work, "consumer": "c", "stream_seq": 1}
    subject = f"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{work}.c"
    await bus.publish(subject, dumps({**advisory, **wrong}))
    [[reason]] = await eventually(lambda: rows(db, "select reason from dead_letters"))
    assert reason == "not understood"
