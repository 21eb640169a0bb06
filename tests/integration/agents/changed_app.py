"""The agents of these tests as somebody changed them: ``patient`` asks for another step."""

from __future__ import annotations

from trunkline import App, Context

app = App("agents_under_test")
app.signal("go", str)


async def triple(number: int) -> int:
    return number * 3


@app.agent("patient")
async def patient(ctx: Context, word: str) -> str:
    return f"{word} {await ctx.step(triple, 1)}"
