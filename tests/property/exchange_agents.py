"""Agents that carry out small plans. A plan is a list of ``[what, number, inner plan]``; ``exchange_model`` knows, too,
what must come of one.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from trunkline import App, Context, RetryPolicy, StepError

app = App("exchange_machine")
Go = app.signal("go", int)

Plan = list[tuple[str, int, list[Any]]]

FACTORS = {"local": 2, "look": 3, "post": 5, "pay": 7}
FAILED = -1  # what a step counts that failed
RETRIES = RetryPolicy(retries=2, base=1.0)
TIMEOUT = 20.0  # seconds


class Tally(BaseModel):
    total: int = 0


class Told(BaseModel):
    """What a run saw: the instance's total when it began, what each step gave, and their sum."""

    before: int
    seen: list[int]
    total: int


async def local(number: int) -> int:
    return number * FACTORS["local"]


@app.tool(effect="pure", timeout=TIMEOUT, retries=RETRIES)
async def look(place: int, number: int) -> int:
    raise AssertionError("the test's hands carry it out")


@app.tool(effect="idempotent", timeout=TIMEOUT, retries=RETRIES)
async def post(place: int, number: int) -> int:
    raise AssertionError("the test's hands carry it out")


@app.tool(effect="unsafe", timeout=TIMEOUT)
async def pay(place: int, number: int) -> int:
    raise AssertionError("the test's hands carry it out")


@app.agent("clerk")
async def clerk(ctx: Context[Tally], plan: Plan) -> Told:
    return await carry_out(ctx, plan)


@app.agent("errand")
async def errand(ctx: Context[Tally], plan: Plan) -> Told:
    return await carry_out(ctx, plan)


@app.agent("till")
async def till(ctx: Context[Tally], plan: Plan) -> Told:
    return await carry_out(ctx, plan)


async def carry_out(ctx: Context[Tally], plan: Plan) -> Told:
    """Do one thing after the other; the sum counts in the instance's state."""
    before, seen = ctx.state.total, []
    for place, (what, number, inner) in enumerate(plan):
        try:
            seen.append(await _do(ctx, place, what, number, inner))
        except StepError:
            seen.append(FAILED)
    ctx.state.total += sum(seen)
    return Told(before=before, seen=seen, total=sum(seen))


async def _do(ctx: Context[Tally], place: int, what: str, number: int, inner: Any) -> int:
    if what in ("look", "post", "pay"):
        return await ctx.call({"look": look, "post": post, "pay": pay}[what], place, number)
    if what == "local":
        return await ctx.step(local, number)
    if what == "both":
        return sum(await ctx.gather(ctx.call(post, place, number), ctx.call(look, place, number)))
    if what == "child":
        return (await ctx.ask(errand, inner)).total
    if what == "shared":
        return (await ctx.ask(till, [("local", number, [])], key="one")).total
    if what == "wait":
        return await ctx.wait_for(Go)
    if what == "patient":
        return await ctx.wait_for(Go, timeout=30)
    if what == "nap":
        await ctx.sleep(60)
        return 0
    raise ValueError("as the plan says")
