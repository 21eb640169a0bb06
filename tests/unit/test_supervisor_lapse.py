"""Who waits for something to stay away is woken when it does, and not before."""

from __future__ import annotations

import asyncio
import time

from trunkline.supervisor.lapse import Lapse

PATIENCE = 10.0


async def test_it_is_over_before_the_first_and_after_the_last() -> None:
    lapse = Lapse(0.01)
    await asyncio.wait_for(lapse.wait(), PATIENCE)
    lapse.renew(time.monotonic())
    waiting = asyncio.create_task(lapse.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    await asyncio.wait_for(waiting, PATIENCE)


async def test_each_time_counts_from_when_it_began() -> None:
    lapse = Lapse(100.0)
    lapse.renew(time.monotonic() - 200.0)
    await asyncio.wait_for(lapse.wait(), PATIENCE)


async def test_as_long_as_it_comes_again_nobody_is_woken() -> None:
    loop, lapse = asyncio.get_running_loop(), Lapse(0.2)
    lapse.renew(time.monotonic())
    waiting, until = asyncio.create_task(lapse.wait()), loop.time() + 0.6
    while loop.time() < until:
        before = time.monotonic()
        await asyncio.sleep(0.01)
        if time.monotonic() - before < 0.1:  # else this process was not there to renew it
            assert not waiting.done()
        lapse.renew(time.monotonic())
    lapse.stop()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
