"""Workers that are there before their servers: they say so, wait, go on by themselves, and can be stopped meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_owner import Owner

from trunkline.authoring.app import App
from trunkline.bus.connection import Bus
from trunkline.bus.consume import Consumer
from trunkline.embedded.stack import Stack
from trunkline.settings import Settings
from trunkline.store import migrate
from trunkline_workers.tool import service

APP = Path(__file__).with_name("desk_app.py")
PATIENCE = 40.0

Start = Callable[[str], Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
def away(open_path: Path) -> Iterator[Stack]:
    """Servers that do not run yet; the schema is there."""
    servers = Stack(open_path / "servers")
    servers.postgres.start()
    migrate.upgrade(servers.postgres.url)
    servers.postgres.stop()
    yield servers
    servers.stop()


@pytest.fixture
async def start(away: Stack) -> AsyncIterator[Start]:
    """Start a worker process; it is killed after the test."""
    processes: list[asyncio.subprocess.Process] = []

    async def start_(kind: str) -> asyncio.subprocess.Process:
        command = (sys.executable, "-m", "trunkline.cli.main", "worker", kind, str(APP))
        environment = {**os.environ, **away.environment(metrics_port=-1, log_format="json")}
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE, env=environment)
        processes.append(process)
        return process

    yield start_
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def says(process: asyncio.subprocess.Process, words: str) -> list[str]:
    """Wait until it says ``words``; what it said before."""
    before: list[str] = []
    assert process.stderr is not None
    async with asyncio.timeout(PATIENCE):
        while line := (await process.stderr.readline()).decode():
            event = json.loads(line)["event"]
            if words in event:
                return before
            before.append(event)
    raise AssertionError(f"it ended without saying {words!r}, but {before}")


@pytest.mark.parametrize("kind", ["agents", "tools", "llm"])
async def test_a_worker_waits_for_its_servers(away: Stack, start: Start, kind: str) -> None:
    process = await start(kind)
    assert await says(process, "Postgres cannot be reached yet") == []
    await asyncio.to_thread(away.postgres.start)
    assert await says(process, "NATS") == []
    await asyncio.to_thread(away.nats.start)
    await says(process, "joined")
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), PATIENCE) == 0


@pytest.mark.parametrize("there", ["nothing", "Postgres"])
@pytest.mark.parametrize("kind", ["agents", "tools"])
async def test_a_worker_that_waits_can_be_stopped(away: Stack, start: Start, kind: str, there: str) -> None:
    if there == "Postgres":
        await asyncio.to_thread(away.postgres.start)
    process = await start(kind)
    await says(process, "cannot be reached yet")
    process.send_signal(signal.SIGTERM)
    assert await says(process, "stopping") == []
    assert await asyncio.wait_for(process.wait(), PATIENCE) == 0


async def test_what_began_while_the_worker_was_still_starting_is_finished(
    owner: Owner, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, began, go_on, stop = App("shop"), asyncio.Event(), asyncio.Event(), asyncio.Event()

    @app.tool
    async def held(n: int) -> int:
        began.set()
        await go_on.wait()
        return n

    @app.tool
    async def other(n: int) -> int:
        return n

    consume = Bus.consume

    async def slow(bus: Bus, spec: Consumer, *given: Any, **options: Any) -> Any:
        if spec.durable.endswith("=other"):
            await asyncio.Event().wait()
        return await consume(bus, spec, *given, **options)

    monkeypatch.setattr(Bus, "consume", slow)
    working = asyncio.create_task(service.serve(app, settings.model_copy(update={"metrics_port": -1}), stop))
    item = await owner.call(held, 7)
    await asyncio.wait_for(began.wait(), PATIENCE)
    stop.set()
    go_on.set()
    assert (await owner.outcome(item)).value == 7
    await asyncio.wait_for(working, PATIENCE)
