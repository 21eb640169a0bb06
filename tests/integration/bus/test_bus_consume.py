"""Consuming: each message to one reader, as many as there is room for, through whatever happens to the server."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from listening import PATIENCE, Connect, Heard, stay

from trunkline.bus import pulling, stored
from trunkline.bus.connection import Bus
from trunkline.bus.consume import Consumer, Delivery
from trunkline.domain.codec import loads
from trunkline.embedded.nats import EmbeddedNats
from trunkline.settings import Settings


def work(bus: Bus, **options: object) -> Consumer:
    return Consumer("WORK", "tool-default-app-t", bus.subjects.tool("default", "app", "t"), **options)  # type: ignore[arg-type]


async def put(bus: Bus, *bodies: bytes) -> None:
    await asyncio.gather(*(bus.publish(bus.subjects.tool("default", "app", "t"), body) for body in bodies))


async def nothing_waits(bus: Bus) -> bool:
    """Whether WORK is empty; the server takes acknowledgements in its own time."""
    return not await stored.subjects(bus, "WORK")


async def test_a_delivery_says_what_it_is(bus: Bus) -> None:
    before = time.time()
    await put(bus, b"1")
    heard = Heard()
    await bus.consume(work(bus), heard, capacity=10)
    await heard.count(1)
    [delivery] = heard.deliveries
    assert (delivery.subject, delivery.data) == (bus.subjects.tool("default", "app", "t"), b"1")
    assert (delivery.attempts, delivery.stream_seq) == (1, 1)
    assert before - 1 < delivery.published_at < time.time() + 1


async def test_two_consumers_get_every_message_once_between_them(bus: Bus, bus_settings: Settings) -> None:
    other = await Bus.connect(bus_settings, name="other")
    first, second = Heard(), Heard()
    await bus.consume(work(bus), first, capacity=20)
    await other.consume(work(bus), second, capacity=20)
    bodies = [b"%d" % number for number in range(1000)]
    await put(bus, *bodies)
    async with asyncio.timeout(PATIENCE):
        while len(first.bodies) + len(second.bodies) < 1000:
            await first.until(lambda mine: len(mine) + len(second.bodies) >= 1000 or len(second.bodies) > 0)
            await second.until(lambda mine: len(mine) + len(first.bodies) >= 1000 or len(first.bodies) > 0)
            await asyncio.sleep(0)
    assert sorted(first.bodies + second.bodies) == sorted(bodies)
    assert first.bodies
    assert second.bodies
    await other.close()


async def test_no_more_is_taken_than_there_is_room_for(bus: Bus, eventually: object) -> None:
    heard = Heard(then=None)
    consumption = await bus.consume(work(bus, ack_wait=60.0), heard, capacity=5)
    await put(bus, *(b"%d" % number for number in range(40)))
    settled = 0
    while settled < 40:
        await heard.count(min(settled + 5, 40))
        assert consumption.in_flight <= 5
        assert len(heard.deliveries) - settled <= 5
        heard.deliveries[settled].ack()
        settled += 1
    assert heard.bodies == [b"%d" % number for number in range(40)]
    assert consumption.in_flight == 0


async def test_a_message_handed_back_comes_again_after_the_delay(bus: Bus) -> None:
    heard = Heard(then=lambda each: each.nak(0.5) if each.attempts == 1 else each.ack())
    await bus.consume(work(bus), heard, capacity=10)
    await put(bus, b"1")
    await heard.count(2)
    assert [each.attempts for each in heard.deliveries] == [1, 2]
    assert 0.4 < heard.times[1] - heard.times[0] < 2.0


async def test_only_the_first_word_about_a_message_counts(bus: Bus, eventually: Any) -> None:
    heard = Heard(then=lambda each: (each.ack(), each.nak(), each.in_progress(), each.term("no")))  # type: ignore[arg-type,func-returns-value]
    consumption = await bus.consume(work(bus), heard, capacity=10)
    await put(bus, b"1")
    await heard.count(1)
    await bus.drain()
    assert heard.deliveries[0].settled
    assert consumption.in_flight == 0
    assert await eventually(lambda: nothing_waits(bus))


async def test_a_message_that_is_not_settled_comes_again_after_ack_wait(bus: Bus) -> None:
    heard = Heard(then=lambda each: None if each.attempts == 1 else each.ack())
    await bus.consume(work(bus, ack_wait=0.5), heard, capacity=10)
    await put(bus, b"1")
    await heard.count(2)
    assert heard.times[1] - heard.times[0] > 0.4


async def test_in_progress_keeps_a_message(bus: Bus, eventually: Any) -> None:
    heard = Heard(then=None)
    await bus.consume(work(bus, ack_wait=1.5), heard, capacity=10)
    await put(bus, b"1")
    await heard.count(1)
    again = asyncio.Event()
    for _ in range(10):
        heard.deliveries[0].in_progress()
        assert await stay(again, 0.25)
        assert len(heard.deliveries) == 1
    heard.deliveries[0].ack()
    await bus.drain()
    assert await eventually(lambda: nothing_waits(bus))


@pytest.mark.parametrize(("end", "what"), [("runs out", "max_deliver"), ("is terminated", "terminated")])
async def test_a_message_that_is_given_up_becomes_an_advisory_in_dead(bus: Bus, end: str, what: str) -> None:
    heard = Heard(then=lambda each: each.nak() if end == "runs out" else each.term("it is\nbad"))
    dead = Heard()
    await bus.consume(work(bus, max_deliver=3), heard, capacity=10)
    await bus.consume(Consumer("DEAD", "deadletters"), dead, capacity=10)
    await put(bus, b"1")
    await dead.count(1)
    advisory = loads(dead.bodies[0])
    assert what in advisory["type"]
    assert advisory["stream"] == bus.subjects.stream_name("WORK")
    assert advisory["stream_seq"] == 1
    assert advisory["deliveries"] == len(heard.bodies) == (3 if end == "runs out" else 1)
    if end == "is terminated":
        assert advisory["reason"] == "it is bad"


async def test_an_error_that_nobody_foresaw_leaves_no_reader_deaf(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard()
    consumption = await bus.consume(work(bus), heard, capacity=10)
    make, errors = bus.make_consumer, [RuntimeError("the transport is closed") for _ in range(2)]

    async def fail_first(spec: Consumer) -> None:
        if errors:
            raise errors.pop()
        await make(spec)

    monkeypatch.setattr(bus, "make_consumer", fail_first)
    consumption.renew()
    await put(bus, b"1")
    await heard.count(1)
    assert not errors
    assert caplog.text.count("Traceback") == 1, "it is told once"


async def test_a_handler_that_raises_gets_the_message_again(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    heard = Heard()

    def fragile(delivery: Delivery) -> None:
        if delivery.attempts == 1:
            raise ValueError("not today")
        heard(delivery)

    await bus.consume(work(bus), fragile, capacity=1)
    await put(bus, b"1")
    await heard.count(1)
    assert heard.deliveries[0].attempts == 2
    assert "the handler failed" in caplog.text


async def test_an_awaitable_is_worked_on_beside_the_next_message(bus: Bus) -> None:
    both = asyncio.Barrier(2)
    heard = Heard()

    async def slow(delivery: Delivery) -> None:
        await both.wait()
        if delivery.data == b"bad" and delivery.attempts == 1:
            delivery.in_progress()
            raise ValueError("not today")
        heard(delivery)

    await bus.consume(work(bus), slow, capacity=10)
    await put(bus, b"good", b"bad")
    await heard.count(1)
    await put(bus, b"next")
    await heard.count(3)
    assert sorted(heard.bodies) == [b"bad", b"good", b"next"]


async def test_how_many_may_be_in_hand_can_be_changed(bus: Bus) -> None:
    heard = Heard(then=None)
    consumption = await bus.consume(work(bus), heard, capacity=10)
    await put(bus, *[b"%d" % number for number in range(30)])
    await heard.count(10)
    consumption.limit(2)
    for delivery in heard.deliveries[:8]:
        delivery.ack()
    more = asyncio.create_task(heard.count(11))
    await bus.drain()
    assert (consumption.in_flight, len(heard.bodies)) == (2, 10)
    for delivery in heard.deliveries[8:]:
        delivery.ack()
    await more
    await heard.count(12)
    assert consumption.in_flight == 2
    consumption.limit(18)
    await heard.count(28)


async def test_stopping_hands_back_what_was_asked_for_and_keeps_what_is_in_hand(bus: Bus, eventually: Any) -> None:
    kept = Heard(then=None)
    leaving = await bus.consume(work(bus, ack_wait=60.0), kept, capacity=3)
    await put(bus, *(b"%d" % number for number in range(6)))
    await kept.count(3)
    heard = Heard()
    await leaving.stop()
    await bus.consume(work(bus, ack_wait=60.0), heard, capacity=10)
    await heard.count(3)
    for delivery in kept.deliveries:
        delivery.ack()
    await bus.drain()
    assert sorted(kept.bodies + heard.bodies) == [b"%d" % number for number in range(6)]
    assert await eventually(lambda: nothing_waits(bus))


async def test_what_arrives_while_stopping_is_handed_back_at_once(bus: Bus) -> None:
    mine, theirs = Heard(then=None), Heard()
    leaving = await bus.consume(work(bus, ack_wait=60.0), mine, capacity=500)
    publishing = asyncio.create_task(put(bus, *(b"%d" % number for number in range(500))))
    await mine.count(1)
    await leaving.stop()
    await publishing
    for delivery in mine.deliveries:
        delivery.ack()
    await bus.consume(work(bus, ack_wait=60.0), theirs, capacity=500)
    # A publish whose acknowledgement came late is repeated, so there may be more than 500.
    await theirs.until(lambda bodies: len({*bodies, *mine.bodies}) == 500)


async def test_a_paused_consumption_asks_for_no_more(bus: Bus) -> None:
    heard = Heard()
    consumption = await bus.consume(work(bus), heard, capacity=2)
    consumption.pause()
    await put(bus, *(b"%d" % number for number in range(10)))
    await heard.count(2)  # asked for before
    assert await stay(asyncio.Event(), 0.3)
    assert len(heard.bodies) == 2
    consumption.resume()
    await heard.count(10)


async def test_a_deleted_consumer_is_made_again(bus: Bus) -> None:
    heard = Heard()
    spec = work(bus)
    await bus.consume(spec, heard, capacity=10)
    await put(bus, b"1")
    await heard.count(1)
    await stored.delete_reader(bus, "WORK", spec.durable)
    await put(bus, b"2")
    await heard.count(2)
    assert [reader.name for reader in await stored.readers(bus, "WORK")] == [spec.durable]


async def test_silence_on_open_requests_is_noticed(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulling, "SILENCE", 0.5)  # below the server's signs of life
    monkeypatch.setattr("trunkline.bus.consume.WATCH_EVERY", 0.1)
    heard = Heard()
    await bus.consume(work(bus), heard, capacity=10)
    assert await stay(asyncio.Event(), 1.0)
    await put(bus, *(b"%d" % number for number in range(50)))
    await heard.count(50)
    assert len(set(heard.bodies)) == 50


async def test_reading_goes_on_when_nats_is_killed_in_mid_stream(nats: EmbeddedNats, connect: Connect) -> None:
    bus = await connect()
    bodies = {b"%d" % number for number in range(5000)}
    await put(bus, *bodies)
    heard = Heard()
    consumption = await bus.consume(work(bus, ack_wait=1.0), heard, capacity=50)
    await heard.count(200)
    nats.kill()
    assert len(set(heard.bodies)) < 5000
    await asyncio.to_thread(nats.start)
    await heard.all_of(bodies)
    await asyncio.wait_for(bus.drain(), PATIENCE)
    assert consumption.in_flight == 0


async def test_nothing_spins_while_nats_is_away_or_refuses(nats: EmbeddedNats, connect: Connect) -> None:
    bus = await connect()
    await bus.consume(work(bus), Heard(), capacity=10)
    name = bus.subjects.stream_name("WORK")
    blocked = await bus.request(f"$JS.API.STREAM.DELETE.{name}", b"", 5)
    assert loads(blocked)["success"]
    began = time.thread_time()
    assert await stay(asyncio.Event(), 1.0)
    nats.kill()
    assert await stay(asyncio.Event(), 1.0)
    assert time.thread_time() - began < 0.5
