"""Publishing: acknowledged or failed, never lost; bounded while NATS is away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from listening import PATIENCE, Connect, Heard

from trunkline.bus import publish, stored, topology
from trunkline.bus.connection import Bus
from trunkline.bus.consume import Consumer
from trunkline.bus.subjects import Stream
from trunkline.domain.errors import PayloadTooLarge, Unavailable
from trunkline.embedded.nats import EmbeddedNats


async def held(bus: Bus, stream: str) -> int:
    return sum((await stored.subjects(bus, stream)).values())


async def test_a_publish_returns_when_the_message_is_stored(bus: Bus) -> None:
    subject = bus.subjects.inbox("default", "orders")
    await bus.publish(subject, b"{}")
    assert await stored.subjects(bus, "INBOX") == {subject: 1}
    assert bus.stats.published == 1


async def test_the_same_message_id_is_stored_once(bus: Bus) -> None:
    for body in (b"1", b"2"):
        await bus.publish(bus.subjects.llm("default", "p"), body, msg_id="same", headers={"x": "y"})
    heard = Heard()
    await bus.consume(Consumer("WORK", "llm", bus.subjects.llm("default", "p")), heard, capacity=10)
    await heard.count(1)
    assert heard.bodies == [b"1"]
    assert heard.deliveries[0].headers == {"x": "y", "Nats-Msg-Id": "same"}


async def test_a_message_that_no_stream_takes_fails_at_once(bus: Bus) -> None:
    with pytest.raises(Unavailable, match="none of ours takes it"):
        await asyncio.wait_for(bus.publish(bus.subjects.ended("default", "run"), b"{}"), PATIENCE)
    assert bus.stats.failed == 1


async def test_a_message_that_is_too_large_fails_at_once(bus: Bus) -> None:
    with pytest.raises(PayloadTooLarge, match="1048577"):
        await bus.publish(bus.subjects.inbox("default", "orders"), b"x" * (bus.max_payload + 1))
    bus.publish_soon(bus.subjects.inbox("default", "orders"), b"x" * (bus.max_payload + 1))
    assert bus.stats.dropped == 1


async def test_a_full_stream_refuses_with_its_reason(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    def small(*arguments: Any) -> dict[Stream, dict[str, Any]]:
        configs = streams(*arguments)
        configs[Stream.WORK]["max_msgs"] = 1
        return configs

    streams = topology.streams
    monkeypatch.setattr(topology, "streams", small)
    bus = await connect()
    await bus.publish(bus.subjects.llm("default", "p"), b"1")
    with pytest.raises(Unavailable, match="maximum messages exceeded"):
        await bus.publish(bus.subjects.llm("default", "p"), b"2")


async def test_nothing_is_lost_when_nats_is_killed_in_mid_stream(
    nats: EmbeddedNats, connect: Connect, eventually: Any
) -> None:
    bus = await connect()
    subject = bus.subjects.llm("default", "p")
    bodies = {str(number).encode() for number in range(5000)}
    publishing = [asyncio.create_task(bus.publish(subject, body)) for body in bodies]
    await asyncio.wait(publishing, return_when=asyncio.FIRST_COMPLETED)
    nats.kill()
    assert not all(task.done() for task in publishing)
    await asyncio.to_thread(nats.start)
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*publishing)
    await eventually(lambda: bus.connected)
    heard = Heard()
    await bus.consume(Consumer("WORK", "llm", subject), heard, capacity=1000)
    await heard.all_of(bodies)
    assert set(heard.bodies) == bodies


async def test_what_is_published_while_nats_is_away_waits_for_it(nats: EmbeddedNats, connect: Connect) -> None:
    bus = await connect()
    nats.kill()
    publishing = asyncio.create_task(bus.publish(bus.subjects.inbox("default", "orders"), b"1"))
    with pytest.raises(Unavailable):
        await bus.request("anything", b"", 1)
    assert not publishing.done()
    await asyncio.to_thread(nats.start)
    await asyncio.wait_for(publishing, PATIENCE)
    await asyncio.wait_for(bus.drain(), PATIENCE)
    assert await held(bus, "INBOX") == 1


async def test_publishers_are_held_back_when_too_much_is_under_way(
    nats: EmbeddedNats, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "WINDOW", 4)
    bus = await connect()
    subject = bus.subjects.llm("default", "p")
    nats.kill()
    publishing = [asyncio.create_task(bus.publish(subject, b"%d" % number)) for number in range(10)]
    await asyncio.sleep(0)
    assert bus.stats.under_way() == 4
    bus.publish_soon(subject, b"dropped")
    assert bus.stats.dropped == 1
    publishing[4].cancel()  # gives its place in the queue to the next
    publishing[0].cancel()  # gives its place under way to the next
    await asyncio.to_thread(nats.start)
    done = await asyncio.wait_for(asyncio.gather(*publishing, return_exceptions=True), PATIENCE)
    assert [type(each) for each in done].count(asyncio.CancelledError) == 2
    heard = Heard()
    await bus.consume(Consumer("WORK", "llm", subject), heard, capacity=10)
    await heard.count(8)
    assert set(heard.bodies) >= {b"%d" % number for number in range(10) if number not in (0, 4)}


async def test_closing_lets_what_was_just_sent_arrive(connect: Connect) -> None:
    bus, other = await connect(), await connect()
    subject = bus.subjects.inbox("default", "orders")
    for number in range(50):
        other.publish_soon(subject, b"%d" % number)
    await other.close()
    assert (other.stats.published, await stored.subjects(bus, "INBOX")) == (50, {subject: 50})


async def test_closing_fails_what_is_under_way(nats: EmbeddedNats, connect: Connect) -> None:
    bus = await connect()
    nats.kill()
    publishing = asyncio.create_task(bus.publish(bus.subjects.inbox("default", "orders"), b"1"))
    await asyncio.sleep(0)
    await bus.close()
    with pytest.raises(Unavailable, match="closing"):
        await publishing
    with pytest.raises(Unavailable, match="closed"):
        await bus.publish(bus.subjects.inbox("default", "orders"), b"1")


async def test_silence_ends_in_an_error(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "PATIENCE", 0.3)
    monkeypatch.setattr(publish, "ANSWER_WITHIN", 0.1)
    monkeypatch.setattr(publish, "_SWEEP_EVERY", 0.05)
    bus = await connect()
    subject = bus.subjects.ended("default", "run")  # somebody listens who does not acknowledge
    seen: list[bytes] = []

    async def listen(message: object) -> None:
        seen.append(b"")

    await bus.subscribe(subject, listen)
    with pytest.raises(Unavailable, match="no acknowledgement"):
        await bus.publish(subject, b"1")
    assert len(seen) > 1
    assert bus.stats.sent_again == len(seen) - 1
