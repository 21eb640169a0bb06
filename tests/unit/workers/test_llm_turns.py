"""Turns: steps of many calls, one in each turn of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from trunkline_workers.llm.turns import Turns

CALLS = 20


class Clock:
    """Counts the turns of the event loop."""

    def __init__(self) -> None:
        self.now = 0
        self._task = asyncio.create_task(self._count())

    async def _count(self) -> None:
        while True:
            self.now += 1
            await asyncio.sleep(0)

    def stop(self) -> None:
        self._task.cancel()


@pytest.fixture
async def clock() -> AsyncIterator[Clock]:
    clock = Clock()
    yield clock
    clock.stop()


async def test_however_many_are_answered_at_once_one_goes_on_in_each_turn(clock: Clock) -> None:
    answered = asyncio.Event()
    steps: list[int] = []

    async def call() -> int:
        steps.append(clock.now)
        await answered.wait()
        steps.append(clock.now)
        await asyncio.sleep(0)
        steps.append(clock.now)
        return len(steps)

    turns = Turns()
    calls = [asyncio.create_task(turns.paced(call())) for _ in range(CALLS)]
    while len(steps) < CALLS:  # noqa: ASYNC110
        await asyncio.sleep(0)
    answered.set()
    results = await asyncio.gather(*calls)
    assert max(results) == len(steps) == 3 * CALLS
    assert len(set(steps)) == len(steps)


async def test_who_is_alone_does_not_wait(clock: Clock) -> None:
    async def call() -> int:
        return clock.now

    turns = Turns()
    await asyncio.sleep(0)
    before = clock.now
    assert await turns.paced(call()) == before


async def test_what_is_raised_comes_out() -> None:
    async def call() -> None:
        await asyncio.sleep(0)
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        await Turns().paced(call())


async def test_what_is_awaited_raises_inside() -> None:
    failing: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def call() -> str:
        try:
            await failing
        except LookupError as error:
            return str(error)
        return "nothing was raised"

    task = asyncio.create_task(Turns().paced(call()))
    await asyncio.sleep(0)
    failing.set_exception(LookupError("inside"))
    assert await task == "inside"


async def test_a_cancelled_call_cleans_up_at_once_and_the_others_go_on() -> None:
    never, ended = asyncio.Event(), []

    async def hang() -> None:
        try:
            await never.wait()
        finally:
            await asyncio.sleep(0)
            ended.append("hanging")

    turns = Turns()
    hanging = asyncio.create_task(turns.paced(hang()))
    await asyncio.sleep(0)
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    assert ended == ["hanging"]
    await turns.paced(asyncio.sleep(0))


async def test_who_is_cancelled_while_it_waits_for_its_turn_does_not_keep_it() -> None:
    begun: list[int] = []

    async def call(number: int) -> None:
        begun.append(number)

    turns = Turns()
    first, second, third = (asyncio.create_task(turns.paced(call(number))) for number in range(3))
    await asyncio.sleep(0)
    assert begun == [0]
    second.cancel()
    await asyncio.wait_for(asyncio.gather(first, third), 5)
    assert begun == [0, 2]
    assert second.cancelled()


async def test_a_timeout_inside_is_one() -> None:
    async def call() -> str:
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            return "timed out"
        return "it went on"

    assert await Turns().paced(call()) == "timed out"
