"""The agents of these tests."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel

from trunkline import App, Context

app = App("agents_under_test")
Go = app.signal("go", str)


class Tally(BaseModel):
    total: int = 0


async def double(number: int) -> int:
    return number * 2


@app.agent("child")
async def child(ctx: Context, number: int) -> int:
    return await ctx.step(double, number)


@app.agent("parent")
async def parent(ctx: Context, number: int) -> int:
    first, second = await ctx.gather(ctx.step(double, number), ctx.step(double, number + 1))
    asked = await ctx.ask(child, first)
    return first + second + asked


@app.agent("patient")
async def patient(ctx: Context, word: str) -> str:
    before = await ctx.step(double, 1)
    said = await ctx.wait_for(Go)
    return f"{word} {said} {before}"


@app.agent("tally")
async def tally(ctx: Context[Tally], number: int) -> int:
    ctx.state.total += number
    return ctx.state.total


@app.agent("raising")
async def raising(ctx: Context, _: int) -> int:
    raise ValueError("it does not work")


@app.agent("foreign")
async def foreign(ctx: Context, _: int) -> int:
    await asyncio.sleep(0)
    return 1


@app.agent("echoing", on="thing.happened", key="data.id")
async def echoing(ctx: Context, thing: dict[str, str]) -> str:
    await ctx.emit("thing.echoed", thing)
    return thing["id"]


@app.agent("listening", on="thing.echoed", key="data.id")
async def listening(ctx: Context, thing: dict[str, str]) -> str:
    return f"heard {thing['id']}"
