"""The support desk: an order comes in, two tools look at it, a model decides, and money may go back."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from pydantic import BaseModel

from support_desk.ledger import Ledger
from trunkline import App, Context, ToolContext

app = App("support_desk")
bank = Ledger(Path(os.environ.get("SUPPORT_DESK_LEDGER", "ledger.sqlite")))


class OrderPlaced(BaseModel):
    order_id: str
    customer: str
    sku: str
    cents: int


class Verdict(BaseModel):
    reason: str
    refund_cents: int


@app.tool(effect="pure", timeout=10, retries=3)
async def check_stock(sku: str) -> int:
    """How many pieces of an article are left."""
    await asyncio.sleep(0.2)  # the warehouse takes its time
    return len(sku) % 3


@app.tool(effect="pure", timeout=10, retries=3)
async def score_risk(customer: str) -> float:
    """How likely a customer is to complain, from 0 to 1."""
    await asyncio.sleep(0.3)
    return (sum(customer.encode()) % 100) / 100


@app.tool(effect="pure", timeout=10, retries=3)
async def order_history(order_id: str) -> list[str]:
    """What happened to an order so far."""
    await asyncio.sleep(0.1)
    return [f"{order_id} was paid", f"{order_id} was packed", f"{order_id} was lost by the carrier"]


@app.tool(effect="idempotent", timeout=10, retries=3)
def refund(tc: ToolContext, order_id: str, cents: int) -> str:
    """Give money back. The bank applies an idempotency key once, however often it hears it."""
    return bank.refund(tc.idempotency_key, order_id, cents)


triage = app.llm_agent(
    "triage",
    model="openai/gpt-5-mini",
    instructions="You decide about orders. Look up the order's history, then say how many cents to refund, and why.",
    tools=[order_history],
    output=Verdict,
)


@app.agent("orders", on="order.placed", key="data.order_id")  # one instance for each order
async def orders(ctx: Context, order: OrderPlaced) -> Verdict:
    stock, risk = await ctx.gather(ctx.call(check_stock, order.sku), ctx.call(score_risk, order.customer))
    question = f"Order {order.order_id} over {order.cents} cents: {stock} in stock, risk {risk}."
    verdict = await ctx.ask(triage, question)
    if verdict.refund_cents > 0:
        await ctx.call(refund, order.order_id, verdict.refund_cents)
    await ctx.emit("order.triaged", {"order_id": order.order_id, **verdict.model_dump()})
    return verdict


app.cron("stock-take", "*/5 * * * * *", "stock.due", data={"shelf": "all"})  # every five seconds


@app.agent("stockroom", on="stock.due", key="data.shelf")
async def stockroom(ctx: Context, due: dict[str, str]) -> int:
    return await ctx.call(check_stock, due["shelf"])
