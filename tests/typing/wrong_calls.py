"""Calls that both type checkers must refuse, each at the line that says so."""

from __future__ import annotations

from trunkline import App, Context, Member, ToolContext

app = App("support")


@app.tool
async def refund(tc: ToolContext, order_id: str, cents: int) -> str:
    return f"{order_id} {cents}"


@app.agent("orders")
async def orders(ctx: Context, order_id: str) -> int:
    return len(order_id)


async def plain(order_id: str) -> int:
    return len(order_id)


async def wrong(ctx: Context) -> None:
    ctx.call(refund, "o")  # refused: an argument is missing
    ctx.call(refund, "o", "five")  # refused: cents is an int
    ctx.call(plain, "o")  # refused: not a tool
    ctx.ask(orders, 5)  # refused: the input is text
    ctx.ask(plain, "o")  # refused: not an agent
    ctx.spawn(orders, 5)  # refused: the input is text
    ctx.spawn(orders, "o", on_parent_end="dies")  # refused: no such choice
    ctx.monitor(5)  # refused: neither a child nor an id
    Member(orders, 5)  # refused: the input is text
    ctx.step(plain, 5)  # refused: the argument is text
    ctx.sleep(None)  # refused: not a duration
    await refund(order_id="o")  # refused: an argument is missing
    (await ctx.ask(orders, "o")).upper()  # refused: it is an int


@app.agent("unasked")  # refused: the function does not take ctx and an input
async def unasked(order_id: str) -> int:
    return len(order_id)
