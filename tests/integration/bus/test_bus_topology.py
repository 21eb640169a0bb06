"""Streams: declared, compared, and declared again when they are lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from listening import PATIENCE, Connect, Heard, stay

from trunkline.bus import stored
from trunkline.bus.connection import Bus
from trunkline.bus.consume import Consumer
from trunkline.bus.subjects import Stream
from trunkline.bus.topology import Topology
from trunkline.domain.codec import dumps, loads
from trunkline.domain.errors import TopologyDrift, Unavailable
from trunkline.embedded.nats import EmbeddedNats
from trunkline.settings import Settings


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The streams are looked at several times a second."""
    monkeypatch.setattr("trunkline.bus.watch.WATCH_EVERY", 0.2)
    monkeypatch.setattr("trunkline.bus.watch.AGAIN_AFTER", 0.1)


async def test_declaring_again_changes_nothing(bus: Bus, bus_settings: Settings) -> None:
    before = await bus.incarnation()
    other = await Bus.connect(bus_settings, name="other")
    await asyncio.gather(bus.declare(), other.declare(), other.declare())
    await other.close()
    assert await bus.incarnation() == before
    assert await bus.check() == []


async def test_processes_that_start_together_agree(bus_settings: Settings) -> None:
    settings = bus_settings.model_copy(update={"namespace": bus_settings.namespace + "b"})
    buses = await asyncio.gather(*(Bus.connect(settings, name=str(number)) for number in range(4)))
    await asyncio.gather(*(bus.declare() for bus in buses))
    assert len({await bus.incarnation() for bus in buses}) == 1
    for stream in Stream:
        await buses[0].request(f"$JS.API.STREAM.DELETE.{buses[0].subjects.stream_name(stream)}", b"", 5)
    for bus in buses:
        await bus.close()


async def test_a_stream_that_differs_is_named_with_the_difference(bus: Bus, bus_settings: Settings) -> None:
    newer = await Bus.connect(bus_settings.model_copy(update={"events_max_age": 3600.0}), name="newer")
    with pytest.raises(TopologyDrift, match=r"_EVENTS .*max_age is 604800 s, needed 3600 s"):
        await newer.declare()
    [line] = await newer.check()
    assert "max_age" in line
    await newer.close()


async def test_what_is_missing_is_named(bus_settings: Settings) -> None:
    bus = await Bus.connect(bus_settings, name="bare")
    missing = await bus.check()
    assert len(missing) == len(Stream)
    assert all("is missing" in line for line in missing)
    await bus.close()


async def test_a_wiped_nats_is_noticed_and_furnished_again(nats: EmbeddedNats, connect: Connect) -> None:
    bus = await connect()
    subject = bus.subjects.llm("default", "p")
    heard, wiped = Heard(), asyncio.Event()

    async def note() -> None:
        wiped.set()

    async def fail() -> None:
        raise ValueError("a callback of somebody else")

    bus.on_wiped(fail)
    bus.on_wiped(note)
    await bus.consume(Consumer("WORK", "llm", subject), heard, capacity=10)
    await bus.publish(subject, b"before")
    await heard.count(1)
    before = await bus.incarnation()
    nats.wipe()
    await asyncio.to_thread(nats.start)
    await asyncio.wait_for(bus.publish(subject, b"after"), PATIENCE)
    await heard.count(2)
    await asyncio.wait_for(wiped.wait(), PATIENCE)
    assert heard.bodies == [b"before", b"after"]
    assert await bus.incarnation() != before
    assert await bus.check() == []


async def test_a_stream_that_was_deleted_is_made_again(bus: Bus) -> None:
    wiped = asyncio.Event()

    async def note() -> None:
        wiped.set()

    bus.on_wiped(note)
    heard = Heard()
    subject = bus.subjects.reply("default", "w")
    await bus.consume(Consumer("REPLY", "reply-w", subject), heard, capacity=10)
    await bus.request(f"$JS.API.STREAM.DELETE.{bus.subjects.stream_name('REPLY')}", b"", 5)
    await asyncio.wait_for(bus.publish(subject, b"1"), PATIENCE)
    await heard.count(1)
    await asyncio.wait_for(wiped.wait(), PATIENCE)


async def test_a_look_that_fails_is_not_the_last(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    wiped, failed, intact = _count(bus), asyncio.Event(), Topology.intact

    async def fail_once(self: Topology) -> bool:
        if not failed.is_set():
            failed.set()
            raise ValueError("an answer that nobody expected")
        return await intact(self)

    monkeypatch.setattr(Topology, "intact", fail_once)
    await asyncio.wait_for(failed.wait(), PATIENCE)
    await bus.request(f"$JS.API.STREAM.DELETE.{bus.subjects.stream_name('REPLY')}", b"", 5)
    await asyncio.wait_for(wiped.get(), PATIENCE)
    assert await bus.check() == []


def _count(bus: Bus) -> asyncio.Queue[None]:
    """An entry for every time that the streams were wiped."""
    wiped: asyncio.Queue[None] = asyncio.Queue()

    async def note() -> None:
        wiped.put_nowait(None)

    bus.on_wiped(note)
    return wiped


async def _delete(bus: Bus, stream: str) -> None:
    await bus.request(f"$JS.API.STREAM.DELETE.{bus.subjects.stream_name(stream)}", b"", 5)


async def test_a_loss_beside_a_stream_that_differs_is_told(bus: Bus) -> None:
    wiped, name = _count(bus), bus.subjects.stream_name("EVENTS")
    config = loads(await bus.request(f"$JS.API.STREAM.INFO.{name}", b"", 5))["config"]
    await bus.request(f"$JS.API.STREAM.UPDATE.{name}", dumps({**config, "max_age": 3600 * 10**9}), 5)
    await _delete(bus, "WORK")
    await asyncio.wait_for(wiped.get(), PATIENCE)


async def test_a_look_costs_two_requests_while_all_is_well(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    call, often = Topology._call, asyncio.Event()

    async def counted(self: Topology, name: str, body: dict[str, Any] | None) -> dict[str, Any]:
        asked.append(name)
        if len(asked) == 6:
            often.set()
        return await call(self, name, body)

    monkeypatch.setattr(Topology, "_call", counted)
    await asyncio.wait_for(often.wait(), PATIENCE)
    assert asked[:6] == ["STREAM.LIST", f"STREAM.INFO.{bus.subjects.stream_name('DEAD')}"] * 3


async def test_when_several_are_lost_together_it_is_told_whichever_is_missed_first(bus: Bus) -> None:
    wiped = _count(bus)
    await asyncio.gather(*(_delete(bus, stream) for stream in ("EVENTS", "INBOX", "WORK")))
    await asyncio.wait_for(wiped.get(), PATIENCE)
    assert await bus.check() == []


async def test_a_loss_is_told_when_nats_fell_silent_while_it_was_mended(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    wiped, declare = _count(bus), Topology.declare
    fell_silent: list[bool] = []

    async def interrupted(self: Topology) -> None:
        await declare(self)
        if not fell_silent:
            fell_silent.append(True)
            raise Unavailable(what="JetStream", reason="it is not there just now")

    monkeypatch.setattr(Topology, "declare", interrupted)
    await _delete(bus, "WORK")
    await asyncio.wait_for(wiped.get(), PATIENCE)
    assert fell_silent


async def test_only_the_loss_of_what_was_issued_is_told(bus: Bus, eventually: Any) -> None:
    wiped = _count(bus)

    async def complete() -> bool:
        return await bus.check() == []

    for stream in ("DEAD", "INBOX", "WORK"):
        await _delete(bus, stream)
        await eventually(complete, timeout=PATIENCE)
    await asyncio.wait_for(wiped.get(), PATIENCE)
    assert wiped.empty()


async def test_a_restart_alone_is_no_wipe(nats: EmbeddedNats, connect: Connect) -> None:
    bus = await connect()
    wiped = asyncio.Event()

    async def note() -> None:
        wiped.set()

    bus.on_wiped(note)
    before = await bus.incarnation()
    await bus.publish(bus.subjects.event("default", "order.placed"), b"{}")
    nats.kill()
    await asyncio.to_thread(nats.start)
    # The stream in memory is gone with the server; it is there again before this is acknowledged.
    await asyncio.wait_for(bus.publish(bus.subjects.stream("default", "run"), b"{}"), PATIENCE)
    assert await stay(wiped, 0.5)
    assert await bus.incarnation() == before
    assert await stored.subjects(bus, "EVENTS") == {bus.subjects.event("default", "order.placed"): 1}


async def test_the_streams_are_what_the_design_says(bus: Bus) -> None:
    async def config(stream: str) -> dict[str, object]:
        answer = await bus.request(f"$JS.API.STREAM.INFO.{bus.subjects.stream_name(stream)}", b"", 5)
        return dict(loads(answer)["config"])

    kinds = {stream: await config(stream) for stream in Stream}
    assert {stream for stream, each in kinds.items() if each["retention"] == "workqueue"} == {"INBOX", "WORK", "REPLY"}
    assert {stream for stream, each in kinds.items() if each["storage"] == "memory"} == {"STREAM"}
