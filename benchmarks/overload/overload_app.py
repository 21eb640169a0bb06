"""A plain agent of ten local steps, asked for over HTTP or woken by an event."""

from __future__ import annotations

from trunkline import App, Context

STEPS = 10
app = App("overload")


async def noop(number: int) -> int:
    return number


@app.agent("plain", on="load.offered")
async def plain(ctx: Context, _asked: object) -> int:
    for number in range(STEPS):
        await ctx.step(noop, number)
    return STEPS
