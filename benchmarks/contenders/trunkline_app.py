"""The agents that Trunkline runs in ``make bench``."""

from __future__ import annotations

from benchmarks.contenders.counting import counter
from benchmarks.contenders.load import STEPS
from trunkline import App, Context

app = App("bench")


async def noop(number: int) -> int:
    counter()()
    return number


@app.tool(effect="pure", timeout=60, concurrency=8192)
async def work(number: int) -> int:
    counter()()
    return number


@app.agent("local")
async def local(ctx: Context, number: int) -> int:
    for _ in range(STEPS):
        await ctx.step(noop, number)
    return number


@app.agent("remote")
async def remote(ctx: Context, number: int) -> int:
    for _ in range(STEPS):
        await ctx.call(work, number)
    return number


@app.agent("ingress", on="bench.happened")
async def ingress(_ctx: Context, _number: int) -> None:
    """Being accepted is all that is measured."""


@app.tool(effect="pure", timeout=60, concurrency=8192)
async def look_up(order: str) -> str:
    """Look an order up."""
    counter()()
    return f"{order} was shipped"


turn = app.llm_agent("turn", model="openai/scripted", instructions="You help.", tools=[look_up])
