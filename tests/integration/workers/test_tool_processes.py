"""Tools in processes of their own: what they are told, and what becomes of those that hang, die or are left."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import process_app
import pytest
from fake_owner import Owner

from trunkline import App
from trunkline.domain.errors import BadDeclaration
from trunkline.domain.work import PermitAnswer
from trunkline.settings import Settings
from trunkline_workers.tool import service

Serving = Callable[..., Awaitable[Any]]
Eventually = Callable[..., Awaitable[Any]]

WORKER = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from process_app import app
from trunkline.settings import Settings
from trunkline_workers.tool import service
asyncio.run(service.serve(app, Settings(), asyncio.Event()))
"""


async def test_it_runs_elsewhere_and_knows_its_step_and_the_process_is_used_again(
    owner: Owner, serving: Serving, eventually: Eventually
) -> None:
    await serving(service.serve, process_app.app)
    item = await owner.call(process_app.where, 7)
    pid, key, number = (await owner.outcome(item)).value
    assert (key, number) == (item.idempotency_key, 7)
    assert pid != os.getpid()
    await eventually(lambda: _told(owner))
    assert owner.chunks[0].data == {"percent": 50}
    assert (await owner.outcome(await owner.call(process_app.where, 8))).value[0] == pid


async def test_the_worker_goes_on_beside_it_and_a_call_that_is_called_off_ends(
    owner: Owner, serving: Serving, eventually: Eventually, tmp_path: Path
) -> None:
    await serving(service.serve, process_app.app)
    item = await owner.call(process_app.compute, str(tmp_path))
    pid = await eventually(lambda: _began(tmp_path))
    assert (await owner.outcome(await owner.call(process_app.where, 1))).error is None
    owner.cancel(item)
    assert ((await owner.outcome(item)).error or {})["type"] == "Cancelled"
    await eventually(lambda: _gone(pid))


async def test_at_its_timeout_it_is_killed(
    owner: Owner, serving: Serving, eventually: Eventually, tmp_path: Path
) -> None:
    await serving(service.serve, process_app.app)
    error = (await owner.outcome(await owner.call(process_app.too_long, str(tmp_path)))).error or {}
    assert error["type"] == "TimedOut"
    if pid := await _began(tmp_path):  # else its second was over before it began
        await eventually(lambda: _gone(pid))


async def test_one_that_dies_costs_its_call_which_may_be_tried_again(owner: Owner, serving: Serving) -> None:
    await serving(service.serve, process_app.app)
    error = (await owner.outcome(await owner.call(process_app.crash))).error or {}
    assert (error["type"], error["retryable"]) == ("ProcessDied", True)
    assert "its process ended with status" in error["message"]
    error = (await owner.outcome(await owner.call(process_app.leave, 4))).error or {}
    assert (error["type"], error["message"]) == ("SystemExit", "4")
    assert (await owner.outcome(await owner.call(process_app.where, 1))).error is None


async def test_of_an_unsafe_one_that_dies_the_outcome_is_unknown(owner: Owner, serving: Serving) -> None:
    owner.permit = lambda _: PermitAnswer(answer="go", begin_within=30)
    await serving(service.serve, process_app.app)
    error = (await owner.outcome(await owner.call(process_app.crash_unsafely, effect="unsafe"))).error or {}
    assert (error["type"], error["unknown"], error["retryable"]) == ("ProcessDied", True, False)


async def test_one_that_died_while_it_had_nothing_to_do_costs_no_call(
    owner: Owner, serving: Serving, eventually: Eventually
) -> None:
    owner.permit = lambda _: PermitAnswer(answer="go", begin_within=30)
    await serving(service.serve, process_app.app)
    pid = (await owner.outcome(await owner.call(process_app.pay, effect="unsafe"))).value
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: _gone(pid))
    outcome = await owner.outcome(await owner.call(process_app.pay, effect="unsafe"))
    assert outcome.error is None
    assert outcome.value != pid


async def test_the_end_of_the_worker_is_the_end_of_its_processes(
    owner: Owner, serving: Serving, eventually: Eventually
) -> None:
    worker = await serving(service.serve, process_app.app)
    pid = (await owner.outcome(await owner.call(process_app.where, 1))).value[0]
    await worker.stop()
    await eventually(lambda: _gone(pid))


async def test_a_worker_that_is_killed_leaves_none_behind(
    owner: Owner, settings: Settings, eventually: Eventually, tmp_path: Path
) -> None:
    environment = {
        "TRUNKLINE_DATABASE_URL": settings.database_url.get_secret_value(),
        "TRUNKLINE_DATABASE_SCHEMA": settings.database_schema,
        "TRUNKLINE_NATS_URL": settings.nats_url,
        "TRUNKLINE_NAMESPACE": settings.namespace,
        "TRUNKLINE_METRICS_PORT": "-1",
    }
    here = str(Path(__file__).parent)
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, here, env={**os.environ, **environment})
    try:
        await owner.call(process_app.compute, str(tmp_path))
        pid = await eventually(lambda: _began(tmp_path))
    finally:
        worker.kill()
        await worker.wait()
    await eventually(lambda: _gone(pid))


def test_what_another_process_could_not_find_is_refused() -> None:
    app = App("refused")
    with pytest.raises(BadDeclaration, match="made inside a function"):

        @app.tool(process=True)
        def inside() -> None: ...

    with pytest.raises(BadDeclaration, match="it is async, and has process=True"):

        @app.tool(process=True)
        async def waits() -> None: ...


async def _told(owner: Owner) -> bool:
    return bool(owner.chunks)


async def _began(directory: Path) -> int:
    return next((int(name.partition("-")[2]) for name in os.listdir(directory)), 0)  # noqa: PTH208


async def _gone(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return False
    return True
