"""The sensors process over a real NATS: what a sensor publishes arrives once, and a broken one hurts no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from trunkline import App
from trunkline.bus.connection import Bus
from trunkline.bus.consume import Consumer, Delivery
from trunkline.bus.events import decode_event
from trunkline.domain.errors import NotConfigured
from trunkline.domain.events import CloudEvent
from trunkline.embedded.stack import Stack
from trunkline.observe import metrics
from trunkline.settings import Settings
from trunkline_sensors.service import keep, sensors_of, serve

Publish = Callable[[CloudEvent], Awaitable[None]]


class Door:
    """Sees the same person come in three times, and then nobody."""

    name = "door"

    async def run(self, publish: Publish) -> None:
        for _ in range(3):
            await publish(CloudEvent(source="door", id="person-1", type="person.came", data={"who": 1}))
        await publish(CloudEvent(source="door", id="person-2", type="person.came"))
        await asyncio.Event().wait()


class Broken:
    """Raises at once, the first two times."""

    name = "broken"

    def __init__(self) -> None:
        self.begun = 0

    async def run(self, publish: Publish) -> None:
        self.begun += 1
        if self.begun < 3:
            raise OSError("the camera is away")


@pytest.fixture
def settings(stack: Stack, namespace: str) -> Settings:
    """Without a schema: sensors need no Postgres."""
    return stack.settings(namespace=namespace, database_url="postgresql://nobody@127.0.0.1:1/none")


@pytest.fixture
async def events(settings: Settings) -> AsyncIterator[asyncio.Queue[CloudEvent]]:
    """Every event that reaches EVENTS."""
    found: asyncio.Queue[CloudEvent] = asyncio.Queue()
    bus = await Bus.connect(settings, name="test")
    await bus.declare()

    def arrived(delivery: Delivery) -> None:
        found.put_nowait(decode_event(delivery.headers, delivery.data, 1_000_000))
        delivery.ack()

    await bus.consume(Consumer("EVENTS", "test"), arrived, capacity=16)
    yield found
    await bus.close()


async def test_sensors_publish_until_they_are_asked_to_stop(
    settings: Settings, events: asyncio.Queue[CloudEvent]
) -> None:
    app = App("house")
    app.cron("tick", "* * * * * *", "tick.due")
    app.sensor(Door())
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(app, settings, stop))
    seen: list[CloudEvent] = []
    while {event.type for event in seen} != {"tick.due", "person.came"} or len(seen) < 4:
        seen.append(await asyncio.wait_for(events.get(), 20))
    stop.set()
    await asyncio.wait_for(serving, 10)
    assert [event.id for event in seen if event.source == "door"] == ["person-1", "person-2"]
    ticks = [event for event in seen if event.type == "tick.due"]
    assert {event.source for event in ticks} == {"trunkline/cron/house/tick"}
    assert all(event.data == {"scheduled_at": event.id} for event in ticks)


async def test_a_broken_sensor_is_begun_again() -> None:
    async def publish(event: CloudEvent) -> None: ...

    before = failures()
    broken = Broken()
    await asyncio.wait_for(keep(broken, publish, first=0.01), 10)
    assert broken.begun == 3
    assert failures() == before + 2


def failures() -> Any:
    return metrics.REGISTRY.get_sample_value("trunkline_sensor_failures_total", {"sensor": "broken"}) or 0


async def test_an_app_without_sensors_is_told(settings: Settings) -> None:
    with pytest.raises(NotConfigured, match=r"app\.cron"):
        await serve(App("empty"), settings, asyncio.Event())


def test_declared_sensors_are_made() -> None:
    app = App("house")
    app.cron("tick", "* * * * *", "tick.due")
    door = Door()
    app.sensor(door)
    tick, same = sensors_of(app)
    assert tick.name == "tick"
    assert same is door
