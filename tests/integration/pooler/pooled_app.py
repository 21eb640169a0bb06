"""What runs behind the pooler: every kind of step that leaves something in Postgres."""

from __future__ import annotations

from trunkline import App, Context

app = App("pooled")
Go = app.signal("go", str)


@app.tool(effect="idempotent", timeout=10, retries=3)
async def double(number: int) -> int:
    return 2 * number


@app.tool(effect="unsafe", timeout=5)
async def ship(number: int) -> str:
    return f"shipped {number}"


@app.agent("child")
async def child(ctx: Context, number: int) -> int:
    await ctx.sleep(0.2)
    return number + 1


@app.agent("orders", on="order.placed", key="data.number")
async def orders(ctx: Context, number: int) -> str:
    doubled, more = await ctx.gather(ctx.call(double, number), ctx.ask(child, number))
    word = await ctx.wait_for(Go, timeout="1m")
    await ctx.emit("order.done", {"number": number})
    return f"{await ctx.call(ship, number)} {doubled} {more} {word}"
