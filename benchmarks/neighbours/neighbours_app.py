"""Neighbours, who do a little each, and those beside them who flood, raise, or block."""

from __future__ import annotations

import asyncio
import time

from trunkline import App, Context

app = App("neighbours")


@app.tool(effect="pure", timeout=60, concurrency=32)
async def look_up(number: int) -> int:
    await asyncio.sleep(0.005)
    return number


@app.agent("neighbour")
async def neighbour(ctx: Context, number: int) -> int:
    return await ctx.step(add_one, await ctx.call(look_up, await ctx.step(add_one, number)))


@app.agent("wide")
async def wide(ctx: Context, width: int) -> int:
    async def one(number: int) -> int:
        return await ctx.call(look_up, number)

    return len(await ctx.map(one, range(width), concurrency=width))


@app.agent("raiser")
async def raiser(ctx: Context, number: int) -> int:
    await ctx.step(add_one, number)
    raise ValueError(number)


@app.agent("blocker")
async def blocker(ctx: Context, seconds: float) -> float:
    await ctx.step(add_one, 1)
    time.sleep(seconds)  # noqa: ASYNC251 - it blocks the whole worker
    return seconds


async def add_one(number: int) -> int:
    return number + 1
