"""The workload of these tests: every kind of step, and a ledger of what was really done, kept outside."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

from pydantic import BaseModel

from trunkline import App, Context, Member, RestartPolicy, Tick, ToolContext
from trunkline.domain.status import Restart

app = App("chaos", version=os.environ.get("CHAOS_VERSION", ""))
Go = app.signal("go", str)
ONCE_MORE = RestartPolicy(restart=Restart.TRANSIENT, max_restarts=1, within=3600, base=0.05, cap=0.05)


class Order(BaseModel):
    number: int


def note(tc: ToolContext) -> None:
    """One line an effect, added at once: lines of several processes do not mix, and survive a SIGKILL."""
    line = {
        "key": tc.idempotency_key,
        "attempt": tc.attempt,
        "at": time.clock_gettime(time.CLOCK_REALTIME),
        "tool": tc.tool,
        "pid": os.getpid(),
    }
    descriptor = os.open(os.environ["CHAOS_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, json.dumps(line).encode() + b"\n")
    finally:
        os.close(descriptor)


@app.tool(effect="pure", timeout=10, retries=3)
def fetch(tc: ToolContext, number: int) -> int:
    note(tc)
    time.sleep(0.05)
    return number * 2


@app.tool(effect="idempotent", timeout=10, retries=3)
def pay(tc: ToolContext, number: int) -> str:
    note(tc)
    time.sleep(0.05)
    return f"paid {number}"


@app.tool(effect="unsafe", timeout=2)
def ship(tc: ToolContext, number: int) -> str:
    note(tc)
    time.sleep(0.05)
    return f"shipped {number}"


@app.tool(effect="pure", timeout=10, retries=3)
def look_up(tc: ToolContext, number: int) -> str:
    """What is known about an order."""
    note(tc)
    return f"order {number} is large"


adviser = app.llm_agent("adviser", model="openai/scripted", instructions="Advise.", output=str, tools=[look_up])


@app.agent("tally")
async def tally(ctx: Context, number: int) -> int:
    """In two incarnations: the second begins with the number below zero."""
    if number > 0:
        ctx.continue_as_new(1 - await ctx.step(add_one, number))
    return await ctx.step(add_one, -number)


async def add_one(number: int) -> int:
    return number + 1


@app.agent("orders", on="order.placed", key="data.number", restart=ONCE_MORE)
async def orders(ctx: Context, order: Order) -> list[object]:
    number = await ctx.step(add_one, order.number)
    if number % 8 == 0 and ctx.restarts == 0:
        raise RuntimeError("every eighth order is begun again")
    first, second = await ctx.gather(ctx.call(fetch, number), ctx.call(fetch, number + 1))
    advice = await ctx.ask(adviser, f"number {order.number}")
    shared = await ctx.ask(tally, number, key=f"shared {order.number % 7}")
    await ctx.sleep(0.3)
    said = await ctx.wait_for(Go, timeout=120)
    paid = await ctx.call(pay, order.number)
    return [first, second, advice, shared, said, paid, await ctx.call(ship, order.number)]


@app.agent("ticker")
async def ticker(ctx: Context, tick: Tick) -> str:
    """What tests start by the clock."""
    return await ctx.step(name_of, tick.schedule)


async def name_of(schedule: str) -> str:
    return schedule


@app.agent("waiter")
async def waiter(ctx: Context, number: int) -> int:
    """A light run: two local steps around a wait."""
    before = await ctx.step(add_one, number)
    await ctx.wait_for(Go, timeout=600)
    return await ctx.step(add_one, before)


@app.agent("stepper")
async def stepper(ctx: Context, steps: int) -> int:
    """A run that is always at work: one step after the other."""
    done = 0
    for _ in range(steps):
        done = await ctx.step(add_one, done)
        await ctx.sleep(0.05)
    return done


@app.agent("hand")
async def hand(ctx: Context, number: int) -> int:
    """A member of a crew: it takes its time, and fails now and then."""
    done = await ctx.step(add_one, number)
    await ctx.sleep(0.3)
    if ctx.random() < 0.3:
        raise ValueError("as it happens")
    return await ctx.step(add_one, done)


def beside(place: int) -> Callable[[int], int]:
    """The number of a crew's member at this place, of that of the crew."""
    return lambda number: number + place


crew = app.team(
    "crew",
    input=int,
    members=[Member(hand, beside(place), name=f"m{place}", restart="transient") for place in range(3)],
    strategy="rest_for_one",
    max_restarts=200,
    within="10m",
    delay=0.05,
    longest_delay=0.2,
)


@app.agent("blocker")
async def blocker(ctx: Context, _: int) -> None:
    time.sleep(3600)  # noqa: ASYNC251 - it blocks the whole worker


def expected(number: int) -> list[object]:
    """What the run of this order must come to."""
    advice = f"advice on {number}: order {number} is large"
    return [2 * number + 2, 2 * number + 4, advice, number + 2, "on", f"paid {number}", f"shipped {number}"]
