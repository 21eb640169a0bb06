"""Who is declared dead, by a roster on a real NATS and Postgres."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from watching import Beating, dead, rows, supervisor

from trunkline.bus.connection import Bus
from trunkline.settings import Settings
from trunkline.store.database import Database
from trunkline.supervisor.presence import Presence
from trunkline.supervisor.roster import Roster

Make = Callable[..., Beating]


@pytest.fixture
async def died(db: Database, bus: Bus, quick: Settings) -> AsyncIterator[asyncio.Queue[str]]:
    """A roster at work; the queue gets those that it declares dead."""
    found: asyncio.Queue[str] = asyncio.Queue()
    roster = Roster(db, bus, quick, Presence(db, quick), found.put_nowait)
    task = asyncio.create_task(roster.run())
    yield found
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def next_of(died: asyncio.Queue[str]) -> str:
    return await asyncio.wait_for(died.get(), 20)


async def test_only_who_is_silent_on_both_is_declared_dead(
    died: asyncio.Queue[str], beating: Make, db: Database
) -> None:
    on_nats = await beating().join(nats=True)
    in_postgres = await beating().join(postgres=True)
    silent = await beating().join()
    assert await next_of(died) == silent.worker
    later = await beating().join()
    assert await next_of(died) == later.worker
    assert await dead(db) == {silent.worker, later.worker}
    assert not {on_nats.worker, in_postgres.worker} & await dead(db)


async def test_a_worker_that_falls_silent_is_declared_dead_after_a_lease(
    died: asyncio.Queue[str], beating: Make, db: Database, quick: Settings
) -> None:
    worker = await beating().join(nats=True, postgres=True)
    silent = await beating().join()
    assert await next_of(died) == silent.worker
    await worker.fall_silent()
    since = time.monotonic()
    assert await next_of(died) == worker.worker
    assert time.monotonic() - since > quick.lease * 0.8


async def test_a_roster_that_just_began_declares_nobody_dead_for_a_whole_lease(
    beating: Make, db: Database, bus: Bus, quick: Settings
) -> None:
    silent = await beating().join()
    await rows(db, "update workers set beat_at = beat_at - interval '1 hour'")
    found: asyncio.Queue[str] = asyncio.Queue()
    began = time.monotonic()
    task = asyncio.create_task(Roster(db, bus, quick, Presence(db, quick), found.put_nowait).run())
    assert await next_of(found) == silent.worker
    assert time.monotonic() - began >= quick.lease
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_supervisor_that_was_stopped_declares_nobody_dead_who_lives(
    beating: Make, db: Database, quick: Settings, eventually: Any
) -> None:
    patient = quick.model_copy(update={"lease": 2.0})  # a machine that is very busy keeps nobody silent for so long
    async with supervisor(patient) as process:
        first = await beating().join()
        alive = [await beating().join(nats=True), await beating().join(postgres=True)]
        await eventually(lambda: _is_dead(db, first), timeout=30)
        process.send(signal.SIGSTOP)
        stopped = time.monotonic()
        await eventually(lambda: time.monotonic() - stopped > 2 * patient.lease, timeout=30)
        process.send(signal.SIGCONT)
        second = await beating().join()
        await eventually(lambda: _is_dead(db, second), timeout=30)
    assert not {worker.worker for worker in alive} & await dead(db)


async def _is_dead(db: Database, worker: Beating) -> bool:
    return worker.worker in await dead(db)
