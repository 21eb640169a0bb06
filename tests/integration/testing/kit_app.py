"""The app that these tests run in the kit's exchange."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from itertools import pairwise

from pydantic import BaseModel

from trunkline import App, At, Context, Cron, Every, Tick, TimedOut

app = App("kit")
paid = app.signal("paid", int)


class Order(BaseModel):
    id: str
    cents: int


@app.tool(effect="idempotent", timeout=10, retries=1)
async def refund(order_id: str, cents: int) -> str:
    return f"refunded {cents} of {order_id}"


@app.tool(effect="pure", timeout=30, retries=3)
async def look_up(order_id: str) -> str:
    return f"{order_id} is known"


@app.agent("orders", on="order.placed", key="data.id")
async def orders(ctx: Context, order: Order) -> str:
    await ctx.call(look_up, order.id)
    receipt = await ctx.call(refund, order.id, order.cents)
    await ctx.emit("order.refunded", {"id": order.id})
    return receipt


@app.agent("listening", on="order.refunded", key="data.id")
async def listening(ctx: Context, event: dict[str, str]) -> str:
    return f"heard of {event['id']}"


@app.agent("sleeper")
async def sleeper(ctx: Context, naps: int) -> list[str]:
    times = [ctx.now()]
    for _ in range(naps):
        await ctx.sleep("1d")
        times.append(ctx.now())
    return [time.isoformat() for time in times]


@app.agent("collector")
async def collector(ctx: Context, _: None) -> str:
    try:
        return f"{await ctx.wait_for(paid, timeout='2d')} paid"
    except TimedOut:
        return "nobody paid"


@app.agent("buyer")
async def buyer(ctx: Context, cents: int) -> str:
    decision = await ctx.approve("buy", {"cents": cents}, timeout="1d")
    return f"{decision.by}: {decision.approved}"


@app.agent("hasty")
async def hasty(ctx: Context, order_id: str) -> str:
    return await ctx.race(ctx.call(look_up, order_id), ctx.sleep("1h")) or "no answer"


@app.tool(effect="unsafe", timeout=5)
async def wire(cents: int) -> str:
    return f"paid {cents}"


@app.agent("payer")
async def payer(ctx: Context, cents: int) -> str:
    return await ctx.call(wire, cents)


@app.agent("hasty_nap")
async def hasty_nap(ctx: Context, seconds: float) -> str:
    await ctx.sleep(seconds)
    return "awake"


@app.agent("asking")
async def asking(ctx: Context, order: Order) -> str:
    return await ctx.ask(orders, order)


talking = App("talking")
chat = talking.llm_agent("chat", model="openai/gpt-5-mini", tools=[look_up])

scheduled = App("scheduled")
scheduled.cron("report", "0 12 * * *", "report.due", data={"shelf": "all"})


@scheduled.agent("reporter", on="report.due", key="data.shelf")
async def reporter(ctx: Context, due: dict[str, str]) -> str:
    return ctx.now().isoformat()


def spread(times: list[str]) -> list[float]:
    """Days between the times."""
    at = [datetime.fromisoformat(time).timestamp() for time in times]
    return [round((after - before) / 86400, 3) for before, after in pairwise(at)]


class Gate:
    """A fake that waits until it is opened."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()
        self.calls = self.cancelled = 0

    async def __call__(self, order_id: str) -> str:
        self.calls += 1
        self.reached.set()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return order_id


timed = App("timed")


@timed.agent("nightly", schedule=Cron("0 2 * * *", tz="Europe/Berlin", key="{due_at:%Y-%m-%d}"))
async def nightly(ctx: Context, tick: Tick) -> list[str]:
    return [tick.due_at.isoformat(), ctx.now().isoformat()]


@timed.agent("janitor", schedule=[Every("6h", name="often"), At(datetime(2026, 1, 2, 3, tzinfo=UTC), name="once")])
async def janitor(ctx: Context, _: None) -> str:
    return ctx.key
