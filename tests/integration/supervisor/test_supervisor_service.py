"""The whole service: it waits for its servers, lives through their deaths, and ends cleanly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from watching import due_timer, fired, rows

from trunkline.domain.errors import SchemaMismatch, Unavailable
from trunkline.embedded.stack import Stack
from trunkline.settings import Settings
from trunkline.store import migrate
from trunkline.store.database import Database
from trunkline.supervisor.service import serve
from trunkline.supervisor.supervise import keep, together


@pytest.fixture
def own_stack() -> Iterator[Stack]:
    """Servers of this test's own, to be killed."""
    with Stack() as stack:
        yield stack


@pytest.fixture
def own(own_stack: Stack) -> Settings:
    migrate.upgrade(own_stack.postgres.url)
    return own_stack.settings(
        heartbeat=0.1, lease=0.8, reconcile_every=0.2, reconcile_after=0.2, alarm_every=0.05, metrics_port=-1
    )


@pytest.fixture
async def serving(own: Settings, run_service: Any) -> None:
    await run_service(lambda stop, ready: serve(own, stop, on_ready=ready))


@pytest.fixture
async def its_db(own: Settings) -> AsyncIterator[Database]:
    database = await Database.open(own.database_url.get_secret_value())
    yield database
    await database.close()


async def fires(db: Database, eventually: Any) -> None:
    """A timer that is set now fires."""
    run = await due_timer(db)
    await eventually(lambda: fired(db, run), timeout=30)


@pytest.mark.usefixtures("serving")
async def test_duties_go_on_after_postgres_was_killed(own_stack: Stack, its_db: Database, eventually: Any) -> None:
    await fires(its_db, eventually)
    await asyncio.to_thread(own_stack.postgres.kill)
    await asyncio.to_thread(own_stack.postgres.start)
    await eventually(lambda: _answers(its_db), timeout=30)
    await fires(its_db, eventually)


@pytest.mark.usefixtures("serving")
async def test_duties_go_on_after_nats_was_killed_and_wiped(
    own_stack: Stack, its_db: Database, eventually: Any
) -> None:
    await fires(its_db, eventually)
    await asyncio.to_thread(own_stack.nats.kill)
    await asyncio.to_thread(own_stack.nats.wipe)
    await fires(its_db, eventually)
    await asyncio.to_thread(own_stack.nats.start)
    await fires(its_db, eventually)


async def test_it_leaves_and_resigns_when_it_is_stopped(own: Settings, its_db: Database, eventually: Any) -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(serve(own, stop))
    await eventually(lambda: rows(its_db, "select 1 from leaders"))
    stop.set()
    await asyncio.wait_for(task, 20)
    assert await rows(its_db, "select until_at <= clock_timestamp() from leaders") == [(True,)]
    assert await rows(its_db, "select kind, left_at is not null from workers") == [("supervisor", True)]


async def test_it_can_be_stopped_while_it_waits_for_its_servers(tmp_path: Path) -> None:
    nowhere = Settings(nats_url="nats://127.0.0.1:1", database_url="postgresql://127.0.0.1:1/none")  # type: ignore[arg-type]
    stop = asyncio.Event()
    task = asyncio.create_task(serve(nowhere, stop))
    stop.set()
    await asyncio.wait_for(task, 20)


async def test_it_refuses_a_database_without_its_schema(own_stack: Stack) -> None:
    with pytest.raises(SchemaMismatch):
        await asyncio.wait_for(serve(own_stack.settings(database_schema="empty"), asyncio.Event()), 20)


async def test_a_duty_that_raises_is_begun_again_and_hurts_no_other() -> None:
    tries: list[int] = []
    again, calm = asyncio.Event(), asyncio.Event()

    async def fragile() -> None:
        tries.append(1)
        if len(tries) == 3:
            again.set()
            await asyncio.Event().wait()
        raise RuntimeError("no")

    async def steady() -> None:
        calm.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(together({"fragile": fragile, "steady": steady}))
    await asyncio.wait_for(again.wait(), 10)
    assert calm.is_set()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_duty_that_returns_is_begun_again() -> None:
    tries: list[int] = []
    again = asyncio.Event()

    async def short() -> None:
        tries.append(1)
        if len(tries) == 2:
            again.set()

    task = asyncio.create_task(keep("short", short, first=0.01))
    await asyncio.wait_for(again.wait(), 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _answers(db: Database) -> bool:
    try:
        await db.ping()
    except Unavailable:
        return False
    return True
