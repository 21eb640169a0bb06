"""Calls that share a timer: each is cancelled at its own time, and no other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from trunkline.authoring import time_limit
from trunkline.authoring.time_limit import limited


async def forever() -> None:
    await asyncio.Event().wait()


async def test_what_ends_in_time_gives_its_value_and_leaves_no_trace(eventually: Any) -> None:
    async def three() -> int:
        await asyncio.sleep(0)
        return 3

    assert await asyncio.gather(*(limited(three(), 0.05) for _ in range(100))) == [3] * 100
    assert await eventually(lambda: 0.05 not in time_limit._limits)  # the timer looks once more, and goes


async def test_each_is_cancelled_at_its_own_time() -> None:
    loop = asyncio.get_running_loop()

    async def begun_after(delay: float) -> float:
        await asyncio.sleep(delay)
        began = loop.time()
        with pytest.raises(TimeoutError):
            await limited(forever(), 0.1)
        return loop.time() - began

    for took in await asyncio.gather(*(begun_after(delay) for delay in (0.0, 0.03, 0.05))):
        assert 0.09 < took < 2.0


async def test_a_short_limit_is_not_held_up_by_a_long_one() -> None:
    long = asyncio.create_task(limited(forever(), 60.0))
    with pytest.raises(TimeoutError):
        await limited(forever(), 0.02)
    assert not long.done()
    long.cancel()
    with pytest.raises(asyncio.CancelledError):  # not a timeout: somebody else cancelled it
        await long


async def test_what_takes_its_cancellation_lightly_is_not_cancelled_later() -> None:
    async def stubborn() -> str:
        try:
            await forever()
        except asyncio.CancelledError:
            return "never mind"
        return ""

    assert await limited(stubborn(), 0.01) == "never mind"
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_an_error_passes() -> None:
    async def broken() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await limited(broken(), 1.0)
