"""What comes for agent workers that are gone is committed as mail."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from watching import TENANT, Beating, mail, outcome, owned, rows, woken

from trunkline.bus import stored
from trunkline.bus.connection import Bus
from trunkline.bus.consume import Consumer
from trunkline.domain.codec import dumps
from trunkline.settings import Settings
from trunkline.store import workers
from trunkline.store.database import Database
from trunkline.supervisor.replies import Replies

Make = Callable[..., Beating]


@pytest.fixture
def replies(db: Database, bus: Bus, quick: Settings) -> Replies:
    return Replies(db, bus, quick)


async def test_outcomes_for_a_departed_worker_become_mail_once_and_wake(
    replies: Replies, beating: Make, db: Database, bus: Bus
) -> None:
    worker = await beating().join()
    [first, second] = await owned(db, worker.worker, 2)
    subject = bus.subjects.reply(TENANT, worker.worker)
    for said in (outcome(first, value=1), outcome(first, value=1), outcome(second, value=2)):
        await bus.publish(subject, dumps(said))
    await workers.leave(db, worker.worker)
    await replies.look()
    assert [body["value"] for body in await mail(db, first, "reply")] == [1]
    assert [body["value"] for body in await mail(db, second, "reply")] == [2]
    assert set(await woken(bus)) == {first.instance, second.instance}
    assert await stored.subjects(bus, "REPLY") == {}
    step = await rows(db, "select message_id from mailbox where instance = %s and kind = 'reply'", first.instance)
    assert step == [(f"reply:tool:t#1:1:{first.run}",)]


async def test_more_than_a_batch_is_read(replies: Replies, beating: Make, db: Database, bus: Bus) -> None:
    worker = await beating().join()
    [letter] = await owned(db, worker.worker)
    subject = bus.subjects.reply(TENANT, worker.worker)
    for number in range(250):
        await bus.publish(subject, dumps(outcome(letter, step=f"tool:t#{number}")))
    await workers.leave(db, worker.worker)
    await replies.look()
    assert len(await mail(db, letter, "reply")) == 250


async def test_a_living_workers_outcomes_are_its_own(replies: Replies, beating: Make, db: Database, bus: Bus) -> None:
    worker = await beating().join()
    [letter] = await owned(db, worker.worker)
    subject = bus.subjects.reply(TENANT, worker.worker)
    await bus.publish(subject, dumps(outcome(letter)))
    consumption = await bus.consume(Consumer("REPLY", f"reply-{worker.worker}", subject), print, capacity=1)
    await consumption.stop()
    await replies.look()
    await replies.look()
    assert await stored.subjects(bus, "REPLY") == {subject: 1}
    assert [reader.subject for reader in await stored.readers(bus, "REPLY")] == [subject]
    assert await mail(db, letter, "reply") == []


async def test_a_departed_workers_consumer_is_deleted_when_nothing_is_left_for_it(
    replies: Replies, beating: Make, db: Database, bus: Bus
) -> None:
    worker = await beating().join()
    [letter] = await owned(db, worker.worker)
    subject = bus.subjects.reply(TENANT, worker.worker)
    consumption = await bus.consume(Consumer("REPLY", f"reply-{worker.worker}", subject), print, capacity=1)
    await consumption.stop()
    await bus.publish(subject, dumps(outcome(letter)))
    await workers.leave(db, worker.worker)
    await replies.look()
    await replies.look()
    await replies.look()
    assert await stored.readers(bus, "REPLY") == []
    assert len(await mail(db, letter, "reply")) == 1


async def test_what_is_no_outcome_becomes_a_dead_letter_and_holds_up_nothing(
    replies: Replies, beating: Make, db: Database, bus: Bus
) -> None:
    worker = await beating().join()
    [letter] = await owned(db, worker.worker)
    subject = bus.subjects.reply(TENANT, worker.worker)
    for nonsense in (b"{", b"[]", b'{"tenant": "x"}', b"\xff\x00"):
        await bus.publish(subject, nonsense)
    await bus.publish(subject, dumps(outcome(letter).model_copy(update={"run": "not an id"})))
    await bus.publish(subject, dumps(outcome(letter).model_copy(update={"tenant": "somebody-elses"})))
    await bus.publish(subject, dumps(outcome(letter)))
    await workers.leave(db, worker.worker)
    await replies.look()
    assert len(await mail(db, letter, "reply")) == 1
    assert await stored.subjects(bus, "REPLY") == {}
    kept = await rows(db, "select tenant, source, subject from dead_letters")
    assert kept == [(TENANT, "reply", subject)] * 4
