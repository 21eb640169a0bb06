"""What the tests of the supervisor are made of: workers that beat or fall silent, processes, looks at the tables."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from trunkline.bus import stored
from trunkline.bus.connection import Bus
from trunkline.domain.codec import dumps, loads
from trunkline.domain.ids import new_id
from trunkline.domain.mail import Envelope
from trunkline.domain.status import EnvelopeKind
from trunkline.domain.work import Heartbeat, Outcome
from trunkline.settings import Settings
from trunkline.store import leases, workers
from trunkline.store.accept import accept
from trunkline.store.database import Database

TENANT = "default"
AGENT = "orders"
EVERY = 0.05  # seconds between two beats


class Beating:
    """A worker as the roster sees it. Silent from the start unless told where to beat; ``beats`` counts."""

    def __init__(self, db: Database, bus: Bus, kind: Any = "agents") -> None:
        self.worker = str(new_id())
        self.beats = 0
        self._db, self._bus, self._kind = db, bus, kind
        self._task: asyncio.Task[None] | None = None

    async def join(self, *, nats: bool = False, postgres: bool = False) -> Beating:
        await workers.join(self._db, self._beat())
        self._task = asyncio.create_task(self._run(nats, postgres))
        return self

    async def fall_silent(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, nats: bool, postgres: bool) -> None:
        while nats or postgres:
            self.beats += 1
            if nats:
                self._bus.send(self._bus.subjects.heartbeat(self.worker), dumps(self._beat()))
            if postgres:
                assert await workers.beat(self._db, self.worker, progress=self.beats, held=0, draining=False)
            await asyncio.sleep(EVERY)

    def _beat(self) -> Heartbeat:
        return Heartbeat(
            worker=self.worker, kind=self._kind, app="app", tenant=TENANT, host="here", pid=1, started_at=1.0
        )


def request(key: str | None = None) -> Envelope:
    run = new_id()
    body = {"input": None, "handler": "", "parent": None}
    return Envelope(TENANT, AGENT, key or new_id(), f"req:{run}", EnvelopeKind.REQUEST, body, run=run)


def outcome(letter: Envelope, step: str = "tool:t#1", **fields: Any) -> Outcome:
    fields.setdefault("value", {"done": True})
    return Outcome(tenant=TENANT, instance=letter.instance, agent=AGENT, run=letter.run, step=step, attempt=1, **fields)


async def owned(db: Database, owner: str, count: int = 1) -> list[Envelope]:
    """Requests to fresh instances that ``owner`` has taken up."""
    letters = [request() for _ in range(count)]
    await accept(db, letters)
    taken, held = await leases.take(db, owner, [letter.instance for letter in letters])
    assert len(taken) == count
    assert not held
    return letters


async def rows(db: Database, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    async with db.connection() as connection:
        cursor = await connection.execute(sql, parameters or None)
        return await cursor.fetchall() if cursor.description else []


async def due_timer(db: Database, seconds: float = 0.0) -> str:
    """A timer that is due in so many seconds; the run that it is of."""
    letter, run = request(), new_id()
    instance = "insert into instances (id, tenant, agent, key) values (%s, %s, %s, %s)"
    timer = (
        "insert into timers (instance, run, step, tenant, agent, due_at)"
        " values (%s, %s, 'sleep:#1', %s, %s, now() + %s * interval '1 second')"
    )
    await rows(db, instance, letter.instance, TENANT, AGENT, letter.key)
    await rows(db, timer, letter.instance, run, TENANT, AGENT, seconds)
    return run


async def fired(db: Database, run: str) -> bool:
    return bool(await rows(db, "select 1 from mailbox where kind = 'timer' and run = %s", run))


async def dead(db: Database) -> set[str]:
    return {worker for (worker,) in await rows(db, "select id from workers where dead_at is not null")}


async def mail(db: Database, letter: Envelope, kind: str) -> list[dict[str, Any]]:
    found = await rows(
        db, "select body from mailbox where instance = %s and kind = %s order by seq", letter.instance, kind
    )
    return [body for (body,) in found]


async def woken(bus: Bus, agent: str = AGENT) -> list[str]:
    """The instances whose wakes lie in INBOX, in order, repeats included."""
    messages = await stored.read(bus, "INBOX", bus.subjects.inbox(TENANT, agent), limit=1000)
    return [loads(message.data)["instance"] for message in messages]


_PROGRAM = """
import asyncio
from trunkline.observe import logs
from trunkline.settings import Settings
from trunkline.supervisor.service import serve
logs.configure("info", "json")
asyncio.run(serve(Settings(), asyncio.Event(), on_ready=lambda: print("ready", flush=True)))
"""


class Process:
    """A supervisor process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    def send(self, which: signal.Signals) -> None:
        self._process.send_signal(which)

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def supervisor(settings: Settings) -> AsyncIterator[Process]:
    """A supervisor as a process of its own, ready to lead; killed at the end."""
    own = {f"TRUNKLINE_{name.upper()}": str(value) for name, value in settings.model_dump(exclude_unset=True).items()}
    own["TRUNKLINE_DATABASE_URL"] = settings.database_url.get_secret_value()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PROGRAM, stdout=asyncio.subprocess.PIPE, env={**os.environ, **own}
    )
    process = Process(child)
    try:
        assert child.stdout is not None
        assert await asyncio.wait_for(child.stdout.readline(), 30) == b"ready\n"
        yield process
    finally:
        await process.kill()
