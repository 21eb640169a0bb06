"""Connections, and an owner that stands in for an agent worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from fake_owner import Owner

from trunkline.bus.connection import Bus
from trunkline.settings import Settings
from trunkline.store.database import Database

Serve = Callable[..., Awaitable[None]]


@pytest.fixture
async def db(settings: Settings) -> AsyncIterator[Database]:
    db = await Database.open(settings.database_url.get_secret_value(), schema=settings.database_schema, size=2)
    yield db
    await db.close()


@pytest.fixture
async def bus(settings: Settings) -> AsyncIterator[Bus]:
    bus = await Bus.connect(settings, name="test", wait=10)
    await bus.declare()
    yield bus
    await bus.close()


@pytest.fixture
async def owner(bus: Bus, settings: Settings) -> Owner:
    owner = Owner(bus, settings)
    await owner.start()
    return owner


@pytest.fixture
async def serving(settings: Settings) -> AsyncIterator[Callable[..., Awaitable[Running]]]:
    """``running = await serving(service.serve, app)``: a worker in this process, stopped after the test."""
    async with AsyncExitStack() as stack:

        async def start(serve: Serve, app: Any, **changes: Any) -> Running:
            running = Running(serve, app, settings.model_copy(update={"metrics_port": -1, "drain": 2.0} | changes))
            stack.push_async_callback(running.stop)
            await running.start()
            return running

        yield start


class Running:
    """A worker under way."""

    def __init__(self, serve: Serve, app: Any, settings: Settings) -> None:
        self.settings = settings
        self.stopping = asyncio.Event()
        self._told = False
        self._ready = asyncio.Event()
        self._task = asyncio.ensure_future(serve(app, settings, self.stopping, self._ready.set))

    async def start(self) -> None:
        ready = asyncio.ensure_future(self._ready.wait())
        await asyncio.wait({ready, self._task}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._task.done():
            self._task.result()
        assert self._ready.is_set()

    async def stop(self) -> None:
        self.stopping.set()
        if not self._told:
            await self.ended()

    async def ended(self) -> None:
        """Wait for its end; raises what it ended with."""
        self._told = True
        await asyncio.wait_for(asyncio.shield(self._task), 30)
