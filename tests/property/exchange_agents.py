"""Agents that carry out small plans. A plan is a list of ``[what, number, inner plan]``; ``exchange_model`` knows, too,
what must come of one.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from trunkline import App, Context, RestartPolicy, RetryPolicy, Step, StepError

app = App("exchange_machine")
Go = app.signal("go", int)

Plan = list[tuple[str, int, list[Any]]]

FACTORS = {"local": 2, "look": 3, "post": 5, "pay": 7}
FAILED = -1  # what a step counts that failed
RETRIES = RetryPolicy(retries=2, base=0.01, cap=0.01)  # seconds; less than any move of the clock, as they are random
RESTARTS = RestartPolicy(restart="transient", max_restarts=1, within=1e6, base=0.01, cap=0.01)
TIMEOUT = 20.0  # seconds
REPEATABLE = {"local", "look", "post", "both", "nap", "had", "trip"}  # what a restart may do again


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


TOOLS = {"look": look, "post": post, "pay": pay}


@app.agent("clerk", restart=RESTARTS)
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
        if what == "boom":
            raise ValueError("as the plan says")
        if what == "trip" and ctx.restarts == 0 and all(one in REPEATABLE for one, *_ in plan[:place]):
            raise ValueError("once")
        if what == "anew":
            ctx.continue_as_new([*(("had", one, []) for one in [*seen, 0]), *plan[place + 1 :]])
        if what == "had":
            seen.append(number)
            continue
        try:
            seen.append(await _do(ctx, place, what, number, inner))
        except StepError:
            seen.append(FAILED)
    ctx.state.total += sum(seen)
    return Told(before=before, seen=seen, total=sum(seen))


async def _do(ctx: Context[Tally], place: int, what: str, number: int, inner: Any) -> int:
    if what in TOOLS:
        return await ctx.call(TOOLS[what], place, number)
    if what == "both":
        return sum(await ctx.gather(ctx.call(post, place, number), ctx.call(look, place, number)))
    if what in ("child", "shared", "spawned", "tied"):
        return await _have_done(ctx, what, number, inner)
    if what in ("wait", "patient"):
        return await ctx.wait_for(Go, timeout=30 if what == "patient" else None)
    if what in ("trip", "nap"):
        return (what == "nap" and await ctx.sleep(60)) or 0
    return await ctx.step(local, number)


async def _have_done(ctx: Context[Tally], what: str, number: int, inner: Any) -> int:
    if what in ("child", "shared"):
        return (await _ask(ctx, what, number, inner)).total
    end = await (await ctx.spawn(errand, inner, link=what == "tied")).ended()
    return int(end.output["total"]) if end.completed else FAILED


def _ask(ctx: Context[Tally], what: str, number: int, inner: Any) -> Step[Told]:
    if what == "child":
        return ctx.ask(errand, inner)
    return ctx.ask(till, [("local", number, [])], key="one")
