"""Tool and LLM workers as the processes that they are: SIGTERM drains, SIGKILL loses nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from desk_app import endless, slow
from fake_owner import Owner

from trunkline.domain.work import PermitAnswer
from trunkline.settings import Settings
from trunkline.store import workers
from trunkline.store.database import Database
from trunkline.testing.openai_server import OpenAIServer

Eventually = Callable[..., Awaitable[Any]]
Start = Callable[..., Awaitable[asyncio.subprocess.Process]]

APP = Path(__file__).with_name("desk_app.py")
QUESTION = {"model": "openai/scripted", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
async def start(settings: Settings, db: Database, eventually: Eventually) -> AsyncIterator[Start]:
    """Start a worker process and wait until it has joined; what still runs after the test is killed."""
    processes: list[asyncio.subprocess.Process] = []
    environment = {
        **os.environ,
        "TRUNKLINE_NATS_URL": settings.nats_url,
        "TRUNKLINE_DATABASE_URL": settings.database_url.get_secret_value(),
        "TRUNKLINE_NAMESPACE": settings.namespace,
        "TRUNKLINE_DATABASE_SCHEMA": settings.database_schema,
        "TRUNKLINE_METRICS_PORT": "-1",
        "TRUNKLINE_ACK_WAIT": "1",
    }

    async def start_(kind: str, **changes: str) -> asyncio.subprocess.Process:
        before = len(await workers.list_workers(db))
        command = (sys.executable, "-m", "trunkline.cli.main", "worker", kind, str(APP))
        processes.append(await asyncio.create_subprocess_exec(*command, env={**environment, **changes}))
        await eventually(lambda: _joined(db, before + 1), timeout=60)
        return processes[-1]

    yield start_
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_sigterm_lets_a_tool_finish_and_begins_no_other(
    owner: Owner, start: Start, tmp_path: Path, db: Database, eventually: Eventually
) -> None:
    process = await start("tools")
    first, second = await owner.call(slow, str(tmp_path), "a"), await owner.call(slow, str(tmp_path), "b")
    await eventually(lambda: _began(tmp_path) == ["a"])
    process.send_signal(signal.SIGTERM)
    await eventually(lambda: _draining(db))
    (tmp_path / "go").touch()
    assert await asyncio.wait_for(process.wait(), 20) == 0
    assert (await owner.outcome(first)).value == "a"
    assert _began(tmp_path) == ["a"]
    assert await workers.list_workers(db) == []  # it said goodbye
    await start("tools")
    assert (await owner.outcome(second)).value == "b"


async def test_sigkill_in_a_tool_is_redelivered_to_another_worker(
    owner: Owner, start: Start, tmp_path: Path, eventually: Eventually
) -> None:
    process = await start("tools")
    item = await owner.call(slow, str(tmp_path), "a")
    await eventually(lambda: _began(tmp_path) == ["a"])
    await start("tools")
    process.kill()
    await eventually(lambda: _began(tmp_path) == ["a", "a"])
    (tmp_path / "go").touch()
    assert (await owner.outcome(item)).value == "a"
    request = await owner.asked()  # what is redelivered asks first
    assert (request.step, request.attempt) == (item.step, 1)
    assert len(owner.outcomes) == 1


async def test_what_was_sent_to_a_stopped_worker_and_done_by_another_is_not_done_again(
    owner: Owner, start: Start, tmp_path: Path, eventually: Eventually
) -> None:
    (tmp_path / "go").touch()
    stopped = await start("tools")
    await owner.outcome(await owner.call(slow, str(tmp_path), "before"))
    await eventually(lambda: owner.waits_for(slow))  # it has put that away, and reads
    stopped.send_signal(signal.SIGSTOP)
    item = await owner.call(slow, str(tmp_path), "a")
    await start("tools")
    assert (await owner.outcome(item)).value == "a"
    other = await owner.asked()
    owner.permit = lambda _: PermitAnswer(answer="refused", reason="it has its outcome")
    stopped.send_signal(signal.SIGCONT)
    assert (await owner.asked()).worker != other.worker
    assert sorted(_began(tmp_path)) == ["a", "before"]


async def test_a_thread_that_never_returns_does_not_hold_up_the_end(
    owner: Owner, start: Start, tmp_path: Path, eventually: Eventually
) -> None:
    process = await start("tools", TRUNKLINE_DRAIN="0.5")
    await owner.call(endless, str(tmp_path))
    await eventually(lambda: _began(tmp_path) == ["endless"])
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 20) == 0
    assert owner.outcomes == []
    assert await owner.work_left() == 1


async def test_sigkill_in_a_model_call_is_paid_twice_and_recorded_once(
    owner: Owner, start: Start, eventually: Eventually
) -> None:
    never = asyncio.Event()
    async with OpenAIServer(lambda *_: never.wait()) as model:
        process = await start("llm", TRUNKLINE_MODEL_API_BASE=model.url)
        item = await owner.ask(QUESTION)
        await eventually(lambda: model.calls)
        await start("llm", TRUNKLINE_MODEL_API_BASE=model.url)
        model.script = lambda *_: "hello"
        process.kill()
        assert (await owner.outcome(item)).value["text"] == "hello"
        assert len(owner.outcomes) == 1
        assert model.calls[0].digest == model.calls[1].digest
        assert (await owner.asked()).worker != (await owner.asked()).worker


async def test_sigterm_lets_a_model_call_finish(
    owner: Owner, start: Start, db: Database, eventually: Eventually
) -> None:
    go_on = asyncio.Event()

    async def answer(*_: Any) -> str:
        await go_on.wait()
        return "hello"

    async with OpenAIServer(answer) as model:
        process = await start("llm", TRUNKLINE_MODEL_API_BASE=model.url)
        item = await owner.ask(QUESTION)
        await eventually(lambda: model.calls)
        process.send_signal(signal.SIGTERM)
        await eventually(lambda: _draining(db))
        go_on.set()
        assert await asyncio.wait_for(process.wait(), 20) == 0
        assert (await owner.outcome(item)).value["text"] == "hello"


async def _joined(db: Database, number: int) -> bool:
    return len(await workers.list_workers(db)) >= number


async def _draining(db: Database) -> bool:
    return any(worker.draining for worker in await workers.list_workers(db))


def _began(directory: Path) -> list[str]:
    file = directory / "began"
    return file.read_text().split() if file.exists() else []
