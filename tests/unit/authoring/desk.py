"""The support desk of the documentation, with its stubs filled in."""

from __future__ import annotations

from pydantic import BaseModel

from trunkline import App, Context, ToolContext


class Receipt(BaseModel):
    order_id: str
    cents: int
    proof: str


class Verdict(BaseModel):
    refund_cents: int


class OrderPlaced(BaseModel):
    id: str
    sku: str


class OrderCancelled(BaseModel):
    order_id: str


app = App("support")


@app.tool
async def check_stock(sku: str) -> int:
    """Say how many are in stock."""
    return {"lamp": 3}.get(sku, 0)


@app.tool
def score_risk(order_id: str) -> float:
    """Say how risky an order is.

    Args:
        order_id: The order's number.
    """
    return 0.5 if order_id.startswith("x") else 0.25


@app.tool
def lookup(order_id: str) -> dict[str, str]:
    """Look an order up."""
    return {"order": order_id, "customer": "Ada"}


@app.tool(effect="idempotent", timeout=10, retries=3)
async def refund(tc: ToolContext, order_id: str, cents: int) -> Receipt:
    """Pay back."""
    tc.progress("paying", {"cents": cents})
    return Receipt(order_id=order_id, cents=cents, proof=tc.idempotency_key)


triage = app.llm_agent("triage", model="openai/gpt-5-mini", instructions="Be fair.", tools=[lookup], output=Verdict)


@app.agent("orders", on="order.placed", key="data.order_id")
async def orders(ctx: Context, order: OrderPlaced) -> Verdict:
    stock, risk = await ctx.gather(ctx.call(check_stock, order.sku), ctx.call(score_risk, order.id))
    verdict = await ctx.ask(triage, f"... {stock} {risk}")
    if verdict.refund_cents > 10_000:  # noqa: SIM102
        if not (await ctx.approve("refund", verdict, timeout="2d")).approved:
            return verdict
    await ctx.call(refund, order.id, verdict.refund_cents)
    await ctx.emit("order.triaged", verdict)
    return verdict


@orders.on("order.cancelled", key="data.order_id")
async def cancelled(ctx: Context, event: OrderCancelled) -> None:
    await ctx.cancel_run("customer cancelled")
