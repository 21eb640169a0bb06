"""More signals than a run has room for, on real servers: they wait as mail, and none is lost or told twice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from pydantic import BaseModel

from trunkline import App, Context
from trunkline.domain.errors import Unavailable
from trunkline.domain.journal import RunContinued, SignalReceived
from trunkline.engine.signals import MOST_KEPT
from trunkline.testing import ExchangeFactory

app = App("signals")
Reading = app.signal("reading", int)
Go = app.signal("go", str)
MANY = 2500
TOGETHER = 20  # signals, which wait for the few connections of one client


class Totals(BaseModel):
    readings: int = 0


@app.agent("meter")
async def meter(ctx: Context[Totals], _: int) -> int:
    count = await ctx.wait_for(Reading)
    if count >= 0:
        ctx.state.readings += 1
        ctx.continue_as_new(count)
    return ctx.state.readings


@app.agent("late")
async def late(ctx: Context, take: int) -> list[int]:
    await ctx.wait_for(Go)
    return [await ctx.wait_for(Reading) for _ in range(take)]


async def tell(run: Any, number: int) -> None:
    """An overrun machine may not answer in time. Said again it is the same signal."""
    while True:
        with suppress(Unavailable):
            await run.signal(Reading, number, idempotency_key=str(number))
            return


async def tell_all(run: Any, numbers: Iterable[int]) -> None:
    for number in numbers:
        await tell(run, number)


async def test_a_run_that_begins_anew_gets_all_in_order(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await tl.start(meter, -1, key="m")
        for first in range(0, MANY, TOGETHER):
            await asyncio.gather(*[tell(run, n) for n in range(first, first + TOGETHER)])
        await tell(run, -1)
        assert await run.result(timeout=120) == MANY
        journal = await tl.journal(run)
        assert not (await tl.dead_letters())["items"]
    lives = [entry for entry in journal if isinstance(entry, RunContinued)]
    assert len(lives) == MANY
    told = [entry.data for entry in journal if isinstance(entry, SignalReceived)]
    assert sorted(told) == list(range(-1, MANY)), "each is told once"
    assert told[-1] == -1
    groups = [n // TOGETHER for n in told[:-1]]
    assert groups == sorted(groups), "those sent together are in any order"
    assert max(len(life.signals) for life in lives) <= MOST_KEPT


async def test_nobody_overtakes_and_what_is_left_is_dead(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await tl.start(late, 150, key="l")
        await tell_all(run, range(100))
        await tl.settle()
        got = [entry for entry in await tl.journal(run) if isinstance(entry, SignalReceived)]
        assert [entry.data for entry in got] == list(range(MOST_KEPT))
        await tl.crash("agents")
        await tell_all(run, range(100, 180))
        await run.signal(Go, "now")
        assert await run.result(timeout=30) == list(range(150))
        await tl.settle()
        dead = (await tl.dead_letters())["items"]
    assert {letter["reason"] for letter in dead} == {"the run ended without waiting for it"}
    assert len(dead) == 30


async def test_signals_before_the_beginning_wait_as_well(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        first = await tl.start(late, 0, key="e")
        second = await tl.start(late, 100, key="e")
        await tell_all(second, range(100))
        await tl.settle()
        await first.signal(Go, "end")
        await second.signal(Go, "begin")
        assert await second.result(timeout=30) == list(range(100))
