"""The sensors process: runs every sensor of an App; one that fails is begun again, and hurts none of the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial

from trunkline.authoring.app import App
from trunkline.authoring.schedules import CronSpec
from trunkline.bus.connection import Bus
from trunkline.bus.events import publish_event
from trunkline.domain.errors import NotConfigured
from trunkline.domain.events import CloudEvent
from trunkline.observe import logs, metrics
from trunkline.observe.health import HealthServer
from trunkline.settings import Settings
from trunkline_sensors.base import Clock, Publish, Sensor
from trunkline_sensors.cron import Cron

log = logs.get("sensors")

FOREVER = 10 * 365 * 86400.0  # seconds
FIRST_DELAY = 0.5  # seconds before a sensor that failed is begun again; doubles up to LONGEST_DELAY
LONGEST_DELAY = 30.0


async def serve(app: App, settings: Settings, stop: asyncio.Event) -> None:
    """Run ``app``'s sensors for ``settings.tenant`` until ``stop`` is set. Needs NATS, and waits for it; no Postgres.

    Raises:
        NotConfigured: the app declares no sensor.
        TopologyDrift: a stream is configured differently than this version needs.
    """
    sensors = sensors_of(app)
    if not sensors:
        raise NotConfigured(what=f"A sensor of App {app.name!r}", fix="Declare one, such as app.cron(...).")
    serving = asyncio.create_task(_serve(sensors, settings), name="sensors")
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    serving.cancel()
    with suppress(asyncio.CancelledError):
        await serving


def sensors_of(app: App, clock: Clock | None = None) -> list[Sensor]:
    """What ``app`` declares, ready to run."""
    return [
        Cron(declared, app=app.name, clock=clock) if isinstance(declared, CronSpec) else declared
        for declared in app.sensors.values()
    ]


async def keep(sensor: Sensor, publish: Publish, *, first: float = FIRST_DELAY, longest: float = LONGEST_DELAY) -> None:
    """Run ``sensor`` until it ends by itself. When it raises it is begun again; the delay (seconds) doubles from
    ``first`` to ``longest``, and starts over after a run that held for longer than ``longest``.
    """
    delay = first
    while True:
        begun = time.monotonic()
        try:
            await sensor.run(publish)
        except Exception:
            metrics.sensor_failures.labels(sensor=sensor.name).inc()
            log.exception("sensor failed and is begun again", sensor=sensor.name, delay=delay)
        else:
            log.info("sensor ended", sensor=sensor.name)
            return
        if time.monotonic() - begun > longest:
            delay = first
        await asyncio.sleep(delay)
        delay = min(delay * 2, longest)


async def _serve(sensors: Sequence[Sensor], settings: Settings) -> None:
    async with AsyncExitStack() as stack:
        bus = await Bus.connect(settings, name="sensors", wait=FOREVER)
        stack.push_async_callback(bus.close)
        await bus.declare()
        checks = {"nats": lambda: None if bus.connected else "not connected"}
        health = await stack.enter_async_context(HealthServer(settings.metrics_host, settings.metrics_port, checks))
        log.info("sensing", sensors=[sensor.name for sensor in sensors], health=health.url)
        async with asyncio.TaskGroup() as group:
            for sensor in sensors:
                group.create_task(keep(sensor, partial(_publish, bus, settings.tenant, sensor.name)), name=sensor.name)
        await asyncio.Event().wait()  # every sensor has ended; the process is there until it is asked to stop


async def _publish(bus: Bus, tenant: str, sensor: str, event: CloudEvent) -> None:
    await publish_event(bus, tenant, event)
    metrics.sensed.labels(sensor=sensor).inc()
    log.debug("published", sensor=sensor, type=event.type, id=event.id)
