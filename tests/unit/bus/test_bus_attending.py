"""What is in hand is looked after again and again, and when nothing is, nobody looks."""

from __future__ import annotations

import asyncio

from trunkline.bus.attending import Attending

PATIENCE = 10.0


async def test_it_looks_while_something_is_in_hand_and_rests_until_something_is_again() -> None:
    in_hand, looks = 0, asyncio.Queue[int]()

    def look() -> bool:
        looks.put_nowait(in_hand)
        return in_hand > 0

    attending = Attending(0.001, look)
    running = asyncio.create_task(attending.run())
    for _ in range(3):
        in_hand = 2
        attending.begin()
        assert [await asyncio.wait_for(looks.get(), PATIENCE) for _ in range(3)] == [2, 2, 2]
        in_hand = 0
        while await asyncio.wait_for(looks.get(), PATIENCE):
            pass
        assert not attending._needed.is_set()
        assert looks.empty(), "the look that found nothing was the last"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_comes_after_a_look_is_found_by_the_next() -> None:
    looks = 0
    seen = asyncio.Event()

    def look() -> bool:
        nonlocal looks
        looks += 1
        if looks == 1:
            asyncio.get_running_loop().call_soon(attending.begin)
        else:
            seen.set()
        return False

    attending = Attending(0.001, look)
    attending.begin()
    running = asyncio.create_task(attending.run())
    await asyncio.wait_for(seen.wait(), PATIENCE)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
