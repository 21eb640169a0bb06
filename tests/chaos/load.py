"""Orders that come in all the while, as events and by HTTP, so that a fault finds some of them in every state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chaos.chaos_app import expected
from chaos.exchange import WITHIN, Exchange, nothing_is_wrong
from chaos.repair import repaired


class Load:
    """``orders`` are the numbers that were given out. Each way in takes ``batch`` orders every ``every`` seconds."""

    def __init__(self, running: Exchange, *, at_once: int, batch: int, every: float) -> None:
        self.running = running
        self.over = False
        self._at_once, self._batch, self._every = at_once, batch, every
        self._next = 1

    @property
    def orders(self) -> range:
        return range(1, self._next)

    async def as_events(self) -> None:
        """Publish, and tell each order to go on, until it is over."""
        count = self._at_once // 2 or self._batch
        while not self.over:
            numbers, count = self._take(count), self._batch
            await self.running.publish(numbers)
            await self.running.post([_go(number) for number in numbers])
            await asyncio.sleep(self._every)

    async def by_http(self) -> None:
        """The same, all of it posted to the gateway."""
        count = self._at_once // 2 or self._batch
        while not self.over:
            numbers, count = self._take(count), self._batch
            await self.running.post([*map(_start, numbers), *map(_go, numbers)])
            await asyncio.sleep(self._every)

    async def done(self, count: int | None = None) -> bool:
        """Whether so many orders are completed; all of them unless told."""
        return (await self.running.counts())["completed"] >= (len(self.orders) if count is None else count)

    async def goes_on(self, more: int = 20) -> None:
        """Wait until so many more orders are completed than now."""
        now = (await self.running.until(self.running.counts, "Postgres answers"))["completed"]
        await self.running.until(lambda: self.done(now + more), f"{more} more orders are done")

    def _take(self, count: int) -> range:
        numbers = range(self._next, self._next + count)
        self._next = numbers.stop
        return numbers


@asynccontextmanager
async def orders_come(
    running: Exchange, *, at_once: int = 0, batch: int = 2, every: float = 0.3, unknown: bool = False
) -> AsyncIterator[Load]:
    """Orders come while the body runs, which begins when the first are done: ``at_once`` of them, then batches.

    After the body all that came must come to its right end. ``unknown`` says that the outcome of unsafe steps may be
    lost: a person looks what happened, and says so.
    """
    load = Load(running, at_once=at_once, batch=batch, every=every)
    coming = [asyncio.create_task(load.as_events()), asyncio.create_task(load.by_http())]
    try:
        await running.until(lambda: load.done(max(8, at_once // 10)), "the first orders are done")
        yield load
        load.over = True
        async with asyncio.timeout(WITHIN):
            await asyncio.gather(*coming)
        await running.until(lambda: _all_done(load, unknown), "all orders are done")
    finally:
        for task in coming:
            task.cancel()
        await asyncio.gather(*coming, return_exceptions=True)
    await nothing_is_wrong(running, load.orders, expected)


async def _all_done(load: Load, unknown: bool) -> bool:
    if unknown:
        await repaired(load.running)
    return await load.done()


def _start(number: int) -> tuple[str, object, str]:
    return f"/v1/agents/orders/instances/{number}/runs", {"input": {"number": number}}, f"start {number}"


def _go(number: int) -> tuple[str, object, str]:
    return f"/v1/agents/orders/instances/{number}/signals/go", "on", f"go {number}"
