"""Every public call of what users write. What stands behind an arrow is what both type checkers must reveal."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, reveal_type

from pydantic import BaseModel

from trunkline import (
    App,
    Approval,
    Client,
    CloudEvent,
    Context,
    Cron,
    Every,
    Member,
    RetryPolicy,
    Tick,
    ToolContext,
    testing,
)


class Receipt(BaseModel):
    id: str


class Verdict(BaseModel):
    refund_cents: int


class OrderPlaced(BaseModel):
    id: str
    sku: str


class OrderCancelled(BaseModel):
    order_id: str


class Payment(BaseModel):
    cents: int


class Basket(BaseModel):
    skus: list[str] = []


app = App("support")
paid = app.signal("paid", Payment)
reveal_type(paid)  # -> SignalType[Payment]


# --- tools ----------------------------------------------------------------------------------------------------------


@app.tool(effect="idempotent", timeout=10, retries=3)
async def refund(tc: ToolContext, order_id: str, cents: int) -> Receipt:
    reveal_type(tc.idempotency_key)  # -> str
    reveal_type(tc.attempt)  # -> int
    reveal_type(tc.progress("half", {"of": 2}))  # -> None
    return Receipt(id=order_id)


@app.tool
async def check_stock(sku: str) -> int:
    return len(sku)


@app.tool
def score_risk(order_id: str) -> float:
    return len(order_id) / 10


@app.tool(name="find", timeout=timedelta(seconds=5), concurrency=2, rate=0.5, needs_approval=True)
def lookup(tc: ToolContext, order_id: str, *, deep: bool = False) -> dict[str, int]:
    return {order_id: int(deep)}


reveal_type(refund)  # -> AsyncTool[[order_id: str, cents: int], Receipt]
reveal_type(check_stock)  # -> AsyncTool[[sku: str], int]
reveal_type(score_risk)  # -> SyncTool[[order_id: str], float]
reveal_type(lookup)  # -> SyncTool[[order_id: str, *, deep: bool = ...], dict[str, int]]


async def plain_functions() -> None:
    reveal_type(await refund("o", 5))  # -> Receipt
    reveal_type(await check_stock("s"))  # -> int
    reveal_type(score_risk("o"))  # -> float
    reveal_type(lookup("o", deep=True))  # -> dict[str, int]


# --- agents ---------------------------------------------------------------------------------------------------------

triage = app.llm_agent("triage", model="openai/gpt-5-mini", instructions="...", tools=[lookup], output=Verdict)
reveal_type(triage)  # -> Agent[str, Verdict]
chat = app.llm_agent("chat", model="openai/gpt-5-mini", tools=[lookup, triage], temperature=0.2, max_turns=3)
reveal_type(chat)  # -> Agent[str, str]


@app.agent("orders", on="order.placed", key="data.order_id", on_busy="queue")
async def orders(ctx: Context, order: OrderPlaced) -> Verdict:
    stock, risk = await ctx.gather(ctx.call(check_stock, order.sku), ctx.call(score_risk, order.id))
    reveal_type(stock)  # -> int
    reveal_type(risk)  # -> float
    reveal_type(await ctx.within("1m", ctx.call(check_stock, order.sku)))  # -> int
    verdict = await ctx.ask(triage, f"... {stock} {risk}", timeout="1h")
    reveal_type(verdict)  # -> Verdict
    if verdict.refund_cents > 10_000:  # noqa: SIM102
        if not (await ctx.approve("refund", verdict, timeout="2d")).approved:
            return verdict
    await ctx.call(refund, order.id, verdict.refund_cents)
    await ctx.emit("order.triaged", verdict)
    return verdict


reveal_type(orders)  # -> Agent[OrderPlaced, Verdict]


@app.agent("report", schedule=[Cron("0 2 * * *", tz="Europe/Berlin", missed="skip"), Every("15m", key="all")])
async def report(ctx: Context, tick: Tick) -> str:
    return tick.schedule


reveal_type(report)  # -> Agent[Tick, str]


@orders.on("order.cancelled", key="data.order_id")
async def cancelled(ctx: Context, event: OrderCancelled) -> None:
    await ctx.cancel_run("customer cancelled")


@app.agent("baskets")
async def baskets(ctx: Context[Basket], sku: str) -> int:
    reveal_type(ctx.state)  # -> Basket
    reveal_type(ctx.keyed("one"))  # -> Context[Basket]
    ctx.state.skus.append(sku)
    ctx.state = Basket()
    return len(ctx.state.skus)


reveal_type(baskets)  # -> Agent[str, int]


# --- the context ----------------------------------------------------------------------------------------------------


async def weigh(sku: str, grams: int) -> float:
    return grams / len(sku)


def count(sku: str) -> int:
    return len(sku)


@app.agent("for_ever", restart="permanent")
async def for_ever(ctx: Context, left: int) -> Verdict:
    reveal_type(ctx.restarts)  # -> int
    if left == 0:
        return await ctx.ask(triage, "?")
    return ctx.continue_as_new(left - 1)


async def every_method(ctx: Context) -> None:
    reveal_type(ctx)  # -> Context[Any]
    reveal_type(ctx.call(refund, "o", 5))  # -> Step[Receipt]
    reveal_type(ctx.call(refund, order_id="o", cents=5))  # -> Step[Receipt]
    reveal_type(ctx.call(score_risk, "o"))  # -> Step[float]
    reveal_type(ctx.call(lookup, "o", deep=True))  # -> Step[dict[str, int]]
    reveal_type(ctx.ask(triage, "?"))  # -> Step[Verdict]
    reveal_type(ctx.ask(orders, OrderPlaced(id="o", sku="s"), key="o"))  # -> Step[Verdict]
    reveal_type(ctx.step(weigh, "s", 5))  # -> Step[float]
    reveal_type(ctx.step(count, "s", timeout="5s", retries=RetryPolicy(retries=2)))  # -> Step[int]
    reveal_type(ctx.sleep("2h"))  # -> Step[None]
    reveal_type(ctx.wait_for(paid, timeout=60))  # -> Step[Payment]
    reveal_type(ctx.approve("refund", {"cents": 5}, timeout="2d"))  # -> Step[Approval]
    reveal_type(ctx.emit("order.seen", {"id": "o"}, subject="o"))  # -> Step[None]
    reveal_type(ctx.cancel_run("why"))  # -> Step[None]
    reveal_type(ctx.keyed("final").call(refund, "o", 5))  # -> Step[Receipt]


async def supervised(ctx: Context) -> None:
    reveal_type(ctx.spawn(triage, "?", on_parent_end="continue", link=True))  # -> Step[Child[Verdict]]
    child = await ctx.spawn(triage, "?", key="k")
    reveal_type(child.result())  # -> Step[Verdict]
    reveal_type(child.ended())  # -> Step[Ended]
    reveal_type(child.cancel("why"))  # -> Step[None]
    reveal_type(child.run)  # -> str
    reveal_type(ctx.link(child))  # -> Step[None]
    reveal_type(await ctx.monitor(child))  # -> Ended
    reveal_type(ctx.monitor("a run's id"))  # -> Step[Ended]
    reveal_type(ctx.first([child.ended(), ctx.sleep("1h")]))  # -> Step[None]


reveal_type(Member(triage, "?", restart="transient"))  # -> Member[str]
members = [Member(triage, lambda topic: f"about {topic}", name="first"), Member(triage, "?", name="second")]
reveal_type(app.team("news", members=members, input=str))  # -> Agent[str, dict[str, Any]]
reveal_type(app.team("any", members=members, strategy="rest_for_one"))  # -> Agent[Any, dict[str, Any]]


async def several(ctx: Context) -> None:
    reveal_type(ctx.gather(ctx.call(check_stock, "s"), ctx.ask(chat, "?")))  # -> Step[tuple[int, str]]
    reveal_type(await ctx.gather(ctx.sleep(1), weigh("s", 1), ctx.ask(triage, "?")))  # -> tuple[None, float, Verdict]
    reveal_type(ctx.gather(*[ctx.call(check_stock, sku) for sku in "abc"]))  # -> Step[tuple[int, ...]]
    reveal_type(ctx.race(ctx.wait_for(paid), ctx.sleep("1d")))  # -> Step[Payment | None]
    reveal_type(ctx.race(*[ctx.call(check_stock, sku) for sku in "abc"]))  # -> Step[int]
    reveal_type(ctx.map(lambda sku: ctx.call(check_stock, sku), ["a", "b"], concurrency=2))  # -> Step[list[int]]
    reveal_type(await ctx.map(lambda sku: weigh(sku, 1), ["a", "b"]))  # -> list[float]


def facts(ctx: Context) -> None:
    reveal_type(ctx.now())  # -> datetime
    reveal_type(ctx.random())  # -> float
    reveal_type(ctx.uuid())  # -> str
    reveal_type(ctx.key)  # -> str
    reveal_type(ctx.tenant)  # -> str
    reveal_type(ctx.agent)  # -> str
    reveal_type(ctx.run_id)  # -> str
    reveal_type(ctx.event)  # -> CloudEvent | None
    reveal_type(ctx.conversation)  # -> list[dict[str, Any]]


# --- tests of one's own ---------------------------------------------------------------------------------------------


async def in_a_test(event: CloudEvent, decision: Approval) -> None:
    outcome = await testing.run(orders, OrderPlaced(id="o", sku="s"), tools={"refund": Receipt(id="r")}, model=["hi"])
    reveal_type(outcome)  # -> RunOutcome[Verdict]
    reveal_type(outcome.output)  # -> Verdict
    reveal_type(outcome.steps)  # -> list[StepTaken]
    reveal_type(outcome.error)  # -> dict[str, Any] | None
    await testing.run(orders, event, approvals={"refund": True}, signals=[("paid", {"cents": 5})])
    reveal_type(decision.approved)  # -> bool
    reveal_type(app.specs())  # -> tuple[list[AgentSpec], list[ToolSpec]]


def use(anything: Any) -> None:
    """What is not used otherwise."""


use((cancelled, baskets))


async def outside(order: OrderPlaced) -> None:
    async with Client(url="http://127.0.0.1:8080", api_key="…") as tl:
        run = await tl.start(orders, order, key=order.id, idempotency_key="…")
        reveal_type(run)  # -> Run[Verdict]
        reveal_type(await run.result(timeout=30))  # -> Verdict
        reveal_type(await tl.start("orders", {"id": "o"}))  # -> Run[Any]
        async for event in run.events():
            reveal_type(event)  # -> RunEvent
        reveal_type(await Client.direct(database_url="…", nats_url="…"))  # -> Client
