"""What is not from ctx may not be awaited, and what runs beside the handler may not use ctx."""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import pytest

from trunkline.domain.errors import NotDurable
from trunkline.engine.replay import RunDriver
from unit.engine.driving import Driven, tool


@types.coroutine
def bare() -> Generator[Any, Any, Any]:
    yield object()


def future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


FOREIGN: list[Callable[[], Awaitable[Any]]] = [
    lambda: asyncio.sleep(0),
    lambda: asyncio.sleep(0.001),
    future,
    bare,
    lambda: asyncio.wait([future()]),
    lambda: asyncio.Event().wait(),
    lambda: asyncio.to_thread(int),
]


@pytest.mark.parametrize("make", FOREIGN)
async def test_awaiting_what_is_not_from_ctx_raises_there(make: Callable[[], Awaitable[Any]]) -> None:
    async def handler(driver: RunDriver) -> Any:
        with pytest.raises(NotDurable, match=r"await ctx\.step"):
            await make()
        return await tool(driver)

    run = Driven(handler)
    assert run.begun == ["asks tool:a#1"]
    run.complete("tool:a#1", "went on")
    assert run.output == "went on"


async def test_uncaught_it_fails_the_run_and_says_what_to_write() -> None:
    async def handler(driver: RunDriver) -> None:
        tool(driver)
        await asyncio.sleep(0)

    run = Driven(handler)
    assert run.begun == ["asks tool:a#1", "drops tool:a#1", "fails NotDurable"]
    assert "agent awaited asyncio.sleep(0)" in run.error["message"]
    assert "ctx.step" in run.error["message"]


def test_a_handler_that_insists_is_stopped() -> None:
    async def handler(driver: RunDriver) -> None:
        while True:
            try:
                await bare()
            except NotDurable:
                continue

    assert Driven(handler).error["type"] == "TooManySteps"


async def test_asyncio_s_timeouts_do_not_reach_the_worker_s_task() -> None:
    async def limited(driver: RunDriver) -> None:
        async with asyncio.timeout(0):
            await tool(driver)

    async def grouped(driver: RunDriver) -> None:
        async with asyncio.TaskGroup():
            await tool(driver)

    async def waiting(driver: RunDriver) -> None:
        await asyncio.wait_for(future(), 1)

    for handler in (limited, grouped):
        assert Driven(handler).error["type"] == "RuntimeError"
    # Since Python 3.12 it is built on asyncio.timeout.
    assert Driven(waiting).error["type"] == ("NotDurable" if sys.version_info < (3, 12) else "RuntimeError")
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)  # would raise here, if the handler had had our task cancelled


async def test_the_worker_s_task_is_itself_again_also_after_a_close() -> None:
    task = asyncio.current_task()
    seen: list[Any] = []

    async def handler(driver: RunDriver) -> None:
        seen.append(asyncio.current_task())
        try:
            await tool(driver)
        finally:
            seen.append(asyncio.current_task())

    run = Driven(handler)
    assert asyncio.current_task() is task
    run.driver.close()
    assert asyncio.current_task() is task
    assert seen == [None, None]


async def test_a_task_beside_the_handler_may_not_use_ctx() -> None:
    caught: list[BaseException] = []
    done = asyncio.Event()

    async def beside(driver: RunDriver) -> None:
        try:
            await tool(driver, "beside")
        except NotDurable as error:
            caught.append(error)
        done.set()

    async def handler(driver: RunDriver) -> None:
        tasks.append(asyncio.get_running_loop().create_task(beside(driver)))
        await tool(driver)

    tasks: list[asyncio.Task[None]] = []
    run = Driven(handler)
    await asyncio.wait_for(done.wait(), 5)
    assert "runs beside it" in str(caught[0])
    assert list(run.driver.open_steps) == ["tool:a#1"]
    run.driver.close()


def test_a_step_of_another_run_is_foreign() -> None:
    others: list[Any] = []

    async def lends(driver: RunDriver) -> None:
        others.append(tool(driver, "lent"))
        await others[0]

    async def borrows(driver: RunDriver) -> None:
        await others[0]

    lender = Driven(lends)
    assert "tool:lent#1 of another run" in Driven(borrows).error["message"]
    assert lender.complete("tool:lent#1") == ["completes"]
