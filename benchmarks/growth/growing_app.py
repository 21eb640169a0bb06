"""Agents whose runs are as long, as wide or as heavy as they are asked to be."""

from __future__ import annotations

from pydantic import BaseModel

from trunkline import App, Context

app = App("growing")
Go = app.signal("go", int)


class Work(BaseModel):
    """``count`` steps or calls, each with ``size`` characters."""

    count: int = 1
    size: int = 0


async def step(text: str) -> str:
    return text


@app.tool(effect="pure", timeout=60, concurrency=8192)
async def call(text: str) -> str:
    return text


@app.agent("stepper")
async def stepper(ctx: Context, work: Work) -> int:
    """Local steps, one after the other."""
    for _ in range(work.count):
        await ctx.step(step, "x" * work.size)
    return work.count


@app.agent("caller")
async def caller(ctx: Context, work: Work) -> int:
    """Tool calls, one after the other."""
    for _ in range(work.count):
        await ctx.call(call, "x" * work.size)
    return work.count


@app.agent("fan")
async def fan(ctx: Context, work: Work) -> int:
    """Tool calls, all at once."""
    return len(await ctx.gather(*(ctx.call(call, str(number)) for number in range(work.count))))


@app.agent("map")
async def mapped(ctx: Context, work: Work) -> int:
    """Tool calls, each in a branch of its own."""

    async def one(number: int) -> str:
        return await ctx.call(call, str(number))

    return len(await ctx.map(one, range(work.count)))


async def some_steps(ctx: Context, count: int) -> None:
    """A hundred at a time: commits are shared, and a long journal is soon there."""
    for first in range(0, count, 100):
        await ctx.gather(*(ctx.step(step, str(number)) for number in range(first, min(first + 100, count))))


@app.agent("endless")
async def endless(ctx: Context, _: Work) -> None:
    """A run that does some steps for each signal, and never ends: its journal has no place for a snapshot."""
    while True:
        await some_steps(ctx, await ctx.wait_for(Go))


@app.agent("renewed")
async def renewed(ctx: Context, work: Work) -> None:
    """The same, but it begins anew for each signal."""
    await some_steps(ctx, await ctx.wait_for(Go))
    ctx.continue_as_new(work)


@app.agent("clerk")
async def clerk(ctx: Context, number: int) -> int:
    """What ``suspension.filling`` makes copies of."""
    return await ctx.step(add_one, number)


async def add_one(number: int) -> int:
    return number + 1
