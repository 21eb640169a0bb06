"""A real agent worker in this process, and hands to give it mail and to look at what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Self

import pytest

from integration.agents.agent_app import app
from trunkline import App
from trunkline.bus.connection import Bus
from trunkline.domain.ids import instance_id, new_id
from trunkline.domain.mail import Envelope
from trunkline.domain.status import EnvelopeKind
from trunkline.settings import Settings
from trunkline.store import journal, leases, reclaim, runs, timers
from trunkline.store.accept import accept
from trunkline.store.database import Database
from trunkline.supervisor.wakes import wake
from trunkline_workers.agent.office import Clock
from trunkline_workers.agent.service import serve


@dataclass
class Exchange:
    """What a test does from outside."""

    db: Database
    bus: Bus
    settings: Settings
    eventually: Any

    async def post(self, agent: str, key: str, kind: EnvelopeKind, body: dict[str, Any], *, run: str = "") -> str:
        """Commit a letter and wake its instance; a request's new run is returned."""
        run = run or (new_id() if kind is EnvelopeKind.REQUEST else "")
        letter = Envelope("default", agent, key, f"test:{new_id()}", kind, body, run=run)
        await accept(self.db, [letter])
        await wake(self.bus, [("default", agent, letter.instance)])
        return run

    async def request(self, agent: str, key: str, value: Any) -> str:
        return await self.post(agent, key, EnvelopeKind.REQUEST, {"input": value, "handler": "", "parent": None})

    async def until(self, run: str, *statuses: str) -> runs.Run:
        async def look() -> runs.Run | None:
            found = await runs.get(self.db, "default", run)
            return found if found.status in statuses else None

        found: runs.Run = await self.eventually(look)
        return found

    async def until_held(self, agent: str, key: str) -> None:
        """Wake the instance, and wait until somebody holds it."""
        instance = self.instance(agent, key)
        await wake(self.bus, [("default", agent, instance)])
        await self.eventually(lambda: leases.owner_of(self.db, instance))

    async def until_due(self) -> None:
        """Wait until a timer is due, and do what the supervisor does then."""

        async def fired() -> bool:
            due = await timers.fire_due(self.db)
            await wake(self.bus, due)
            return bool(due)

        await self.eventually(fired)

    async def reclaim(self, worker: str) -> None:
        """Free what a worker held that was declared dead."""
        assert await reclaim.reclaim(self.db, worker)

    @staticmethod
    def instance(agent: str, key: str) -> str:
        return instance_id("default", agent, key)

    async def entries(self, run: str) -> list[str]:
        return [row.entry.TYPE for row in await journal.read_run(self.db, "default", run)]


@pytest.fixture
async def exchange(settings: Settings, eventually: Any) -> AsyncIterator[Exchange]:
    db = await Database.open(settings.database_url.get_secret_value(), schema=settings.database_schema)
    bus = await Bus.connect(settings, name="test")
    await bus.declare()
    yield Exchange(db, bus, settings, eventually)
    await bus.close()
    await db.close()


class Worker:
    """An agent worker that a test starts and stops."""

    def __init__(self, settings: Settings, app: App = app, clock: Clock | None = None) -> None:
        self._app, self._settings, self._clock = app, settings, clock
        self._stop, self._ready = asyncio.Event(), asyncio.Event()

    async def __aenter__(self) -> Self:
        serving = serve(self._app, self._settings, self._stop, self._ready.set, clock=self._clock)
        self._task = asyncio.create_task(serving)
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait({self._task, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._task.done():
            await self._task
        return self

    @property
    def ended(self) -> asyncio.Task[None]:
        return self._task

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await self._task


@pytest.fixture
async def worker(exchange: Exchange) -> AsyncIterator[Worker]:
    async with Worker(exchange.settings) as worker:
        yield worker
