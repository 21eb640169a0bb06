"""Work that is done only until it is asked to stop ends with whoever waits for it, however that comes."""

from __future__ import annotations

import asyncio

import pytest

from trunkline_workers.starting import Stopped, unless


class Work:
    """Goes on until it is cancelled."""

    def __init__(self) -> None:
        self.begun, self.cancelled = asyncio.Event(), False

    async def go_on(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


async def test_what_it_comes_to() -> None:
    async def ready() -> str:
        return "ready"

    assert await unless(asyncio.Event(), ready()) == "ready"


async def test_a_stop_ends_the_work() -> None:
    stop, work = asyncio.Event(), Work()
    stop.set()
    with pytest.raises(Stopped):
        await unless(stop, work.go_on())
    assert not work.begun.is_set() or work.cancelled


async def test_whoever_is_cancelled_leaves_no_work_behind() -> None:
    before, work = asyncio.all_tasks(), Work()
    waiting = asyncio.ensure_future(unless(asyncio.Event(), work.go_on()))
    await work.begun.wait()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert waiting.cancelled()
    assert work.cancelled
    assert asyncio.all_tasks() == before
