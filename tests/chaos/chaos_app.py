"""The workload of these tests: every kind of step, and a ledger of what was really done, kept outside."""

from __future__ import annotations

import json
import os
import time

from pydantic import BaseModel

from trunkline import App, Context, ToolContext

app = App("chaos")
Go = app.signal("go", str)


class Order(BaseModel):
    number: int


def note(what: str, key: str) -> None:
    """One line a doing, appended at once: lines of several processes do not mix, and survive a SIGKILL."""
    line = json.dumps({"what": what, "key": key, "at": time.time(), "pid": os.getpid()}) + "\n"
    descriptor = os.open(os.environ["CHAOS_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


@app.tool(effect="pure", timeout=10, retries=3)
def fetch(tc: ToolContext, number: int) -> int:
    note("fetch", tc.idempotency_key)
    time.sleep(0.05)
    return number * 2


@app.tool(effect="idempotent", timeout=10, retries=3)
def pay(tc: ToolContext, number: int) -> str:
    note("pay", tc.idempotency_key)
    time.sleep(0.05)
    return f"paid {number}"


adviser = app.llm_agent("adviser", model="openai/scripted", instructions="Advise.", output=str)


@app.agent("tally")
async def tally(ctx: Context, number: int) -> int:
    return await ctx.step(add_one, number)


async def add_one(number: int) -> int:
    return number + 1


@app.agent("orders", on="order.placed", key="data.number")
async def orders(ctx: Context, order: Order) -> list[object]:
    number = await ctx.step(add_one, order.number)
    first, second = await ctx.gather(ctx.call(fetch, number), ctx.call(fetch, number + 1))
    advice = await ctx.ask(adviser, f"number {order.number}")
    shared = await ctx.ask(tally, number, key=f"shared {order.number % 7}")
    await ctx.sleep(0.3)
    said = await ctx.wait_for(Go, timeout=120)
    return [first, second, advice, shared, said, await ctx.call(pay, order.number)]


@app.agent("blocker")
async def blocker(ctx: Context, _: int) -> None:
    time.sleep(3600)  # noqa: ASYNC251 - it blocks the whole worker


def expected(number: int) -> list[object]:
    """What the run of this order must come to."""
    return [2 * number + 2, 2 * number + 4, f"advice on {number}", number + 2, "on", f"paid {number}"]
