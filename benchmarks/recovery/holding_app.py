"""Runs that an agent worker holds: each waits for a tool call that takes long."""

from __future__ import annotations

import asyncio

from trunkline import App, Context

app = App("holding")


@app.tool(effect="pure", timeout=600, concurrency=8192)
async def hold(number: int) -> int:
    await asyncio.sleep(600)
    return number


@app.agent("holder")
async def holder(ctx: Context, number: int) -> int:
    return await ctx.call(hold, await ctx.step(add_one, number))


async def add_one(number: int) -> int:
    return number + 1
