"""Runs that sleep until a signal comes, and instances whose runs have ended."""

from __future__ import annotations

from trunkline import App, Context

app = App("sleeping")
Go = app.signal("go", str)


@app.agent("sleeper")
async def sleeper(ctx: Context, number: int) -> str:
    word = await ctx.wait_for(Go)
    return f"{number} {word}"


@app.agent("clerk")
async def clerk(ctx: Context, number: int) -> int:
    return await ctx.step(add_one, number)


async def add_one(number: int) -> int:
    return number + 1
