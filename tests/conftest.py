"""What all tests share: one embedded stack a pytest process, and names of their own for every test."""

from __future__ import annotations

import asyncio
import inspect
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import hypothesis
import pytest

from trunkline.bus import stored
from trunkline.bus.connection import Bus
from trunkline.embedded.stack import Stack
from trunkline.settings import Settings

Check = Callable[[], Any | Awaitable[Any]]
Eventually = Callable[..., Awaitable[Any]]
Ready = Callable[..., object]  # a service calls it, perhaps with a value, once it is ready
Service = Callable[[asyncio.Event, Ready], Awaitable[None]]
RunService = Callable[[Service], Awaitable[Any]]

MANY_PROCESSES = ("tests/chaos/", "tests/e2e/", "test_cli_dev.py")  # each is a whole exchange: one at a time
hypothesis.settings.register_profile("patient", deadline=None)  # a busy machine is no failure
hypothesis.settings.register_profile("long", deadline=None, max_examples=2000)  # --hypothesis-profile=long
hypothesis.settings.load_profile("patient")

READY_WITHIN = 60.0  # seconds
ENDED_WITHIN = 40.0


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share the tests out by files, the heavy ones as if they were one file."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            heavy = any(name in nodeid for name in MANY_PROCESSES)
            return "many processes" if heavy else super()._split_scope(nodeid)

    return Scheduling(config, log)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A real NATS and a real Postgres. A test that kills or wipes one takes a stack of its own."""
    with Stack() as stack:
        yield stack


@pytest.fixture(scope="session")
def trunkline_stack(stack: Stack) -> Stack:
    """The kit's fixtures use the same servers."""
    return stack


@pytest.fixture
def open_path() -> Iterator[Path]:
    """Like ``tmp_path``, but every user may enter it: as root, Postgres runs as another one, and pytest closes its own
    directories to others whenever a session starts.
    """
    with tempfile.TemporaryDirectory(prefix="trunkline-test-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory


@pytest.fixture
def namespace() -> str:
    """The first token of this test's subjects and streams."""
    return f"t{uuid4().hex[:12]}"


@pytest.fixture
def settings(stack: Stack, namespace: str) -> Iterator[Settings]:
    """Settings with a migrated schema and a namespace of this test alone; the schema is dropped after it."""
    import psycopg

    from trunkline.store import migrate

    migrate.upgrade(stack.postgres.url, namespace)
    settings = stack.settings(namespace=namespace, database_schema=namespace)
    yield settings
    if stack.nats.running:
        asyncio.run(_streams_deleted(settings))
    with psycopg.connect(stack.postgres.url, autocommit=True) as connection:
        connection.execute(f"set client_min_messages = warning; drop schema {namespace} cascade")


async def _streams_deleted(settings: Settings) -> None:
    """A server reserves memory for every STREAM: hundreds of tests would use it up."""
    bus = await Bus.connect(settings, name="cleaner")
    try:
        await stored.delete_streams(bus)
    finally:
        await bus.close()


@pytest.fixture
async def run_service() -> AsyncIterator[RunService]:
    """``told = await run_service(lambda stop, ready: serve(app, settings, stop, ready))``: a service in this process.

    Returns what the service called ``ready`` with; if the service ends before, its error is raised at once. After the
    test the services are asked to stop, the last one first, and one that does not is cancelled and fails the test.
    """
    under_way: list[tuple[asyncio.Event, asyncio.Future[None]]] = []

    async def run(service: Service) -> Any:
        stop, told = asyncio.Event(), asyncio.get_running_loop().create_future()
        task = asyncio.ensure_future(service(stop, lambda value=None: told.done() or told.set_result(value)))
        under_way.append((stop, task))
        await asyncio.wait({task, told}, timeout=READY_WITHIN, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            under_way.pop()
            task.result()
        assert told.done(), f"a service was not ready within {READY_WITHIN:g} s"
        return told.result()

    yield run
    for stop, task in reversed(under_way):
        stop.set()
        await asyncio.wait_for(task, ENDED_WITHIN)


@pytest.fixture
def eventually() -> Eventually:
    """``await eventually(check, timeout=10)``: look until ``check`` (sync or async) gives something true: its result.

    For what only a database row can tell; where there is an event to wait for, wait for that.
    """
    return _eventually


async def _eventually(check: Check, timeout: float = 10.0, *, every: float = 0.02) -> Any:  # noqa: ASYNC109
    deadline = time.monotonic() + timeout
    while True:
        found = check()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, f"nothing came of it within {timeout} s (last look: {found!r})"
        await asyncio.sleep(every)
