"""The agents of these tests."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel

from trunkline import App, Context, Happened, NotHappened, RetryPolicy

app = App("agents_under_test")
Go = app.signal("go", str)


class Tally(BaseModel):
    total: int = 0


async def double(number: int) -> int:
    return number * 2


@app.agent("child")
async def child(ctx: Context, number: int) -> int:
    return await ctx.step(double, number)


@app.agent("parent")
async def parent(ctx: Context, number: int) -> int:
    first, second = await ctx.gather(ctx.step(double, number), ctx.step(double, number + 1))
    asked = await ctx.ask(child, first)
    return first + second + asked


@app.agent("patient")
async def patient(ctx: Context, word: str) -> str:
    before = await ctx.step(double, 1)
    said = await ctx.wait_for(Go)
    return f"{word} {said} {before}"


@app.agent("tally")
async def tally(ctx: Context[Tally], number: int) -> int:
    ctx.state.total += number
    return ctx.state.total


@app.agent("counter")
async def counter(ctx: Context[Tally], waits: bool) -> int:
    if waits:
        await ctx.wait_for(Go)
    ctx.state.total += 1
    return ctx.state.total


@app.agent("raising")
async def raising(ctx: Context, _: int) -> int:
    raise ValueError("it does not work")


@app.agent("foreign")
async def foreign(ctx: Context, _: int) -> int:
    await asyncio.sleep(0)
    return 1


@app.agent("echoing", on="thing.happened", key="data.id")
async def echoing(ctx: Context, thing: dict[str, str]) -> str:
    await ctx.emit("thing.echoed", thing)
    return thing["id"]


@app.agent("listening", on="thing.echoed", key="data.id")
async def listening(ctx: Context, thing: dict[str, str]) -> str:
    return f"heard {thing['id']}"


class UnreadableError(Exception):
    def __str__(self) -> str:
        return "nul \x00 and \ud800"


async def leave(_: int) -> int:
    raise SystemExit(3)


async def cancel_itself(_: int) -> int:
    raise asyncio.CancelledError


async def raise_unreadable(_: int) -> int:
    raise UnreadableError


@app.agent("exiting")
async def exiting(ctx: Context, number: int) -> int:
    return await ctx.step(leave, number, retries=0)


@app.agent("cancelling")
async def cancelling(ctx: Context, number: int) -> int:
    return await ctx.step(cancel_itself, number, retries=0)


@app.agent("unreadable")
async def unreadable(ctx: Context, number: int) -> int:
    return await ctx.step(raise_unreadable, number, retries=0)


@app.tool(effect="unsafe", timeout=1)
async def wire(cents: int) -> str:
    raise AssertionError("the tests' hands carry it out")


@app.tool(effect="pure", timeout=30, retries=RetryPolicy(retries=2, base=0.01))
async def look_up(cents: int) -> str:
    raise AssertionError("the tests' hands carry it out")


async def was_it_sent(cents: int) -> Happened[str] | NotHappened:
    raise AssertionError("the tests' hands carry it out")


@app.tool(effect="unsafe", timeout=1, probe=was_it_sent)
async def transfer(cents: int) -> str:
    raise AssertionError("the tests' hands carry it out")


@app.agent("sender")
async def sender(ctx: Context, cents: int) -> str:
    return await ctx.call(transfer, cents)


@app.agent("payer")
async def payer(ctx: Context, cents: int) -> str:
    return await ctx.call(wire, cents)


@app.agent("finder")
async def finder(ctx: Context, cents: int) -> str:
    return await ctx.call(look_up, cents)


@app.tool(effect="pure", timeout=1, retries=RetryPolicy(retries=2, base=1e6, cap=1e6))
async def ask_rarely(cents: int) -> str:
    raise AssertionError("the tests' hands carry it out")


@app.agent("rare")
async def rare(ctx: Context, cents: int) -> str:
    return await ctx.call(ask_rarely, cents)


@app.agent("searcher")
async def searcher(ctx: Context, number: int) -> int:
    return len(await ctx.map(lambda cents: ctx.call(look_up, cents), range(number)))


@app.agent("double_payer")
async def double_payer(ctx: Context, cents: int) -> str:
    paid, found = await ctx.gather(ctx.call(wire, cents), ctx.call(look_up, cents))
    return f"{paid} {found}"


shaken: list[int] = []
steady = asyncio.Event()


async def shake(cents: int) -> str:
    shaken.append(cents)
    if shaken.count(cents) == 1:
        raise ConnectionError("try again")
    return "shaken"


@app.agent("shaking_payer")
async def shaking_payer(ctx: Context, cents: int) -> str:
    paid, shook = await ctx.gather(ctx.call(wire, cents), ctx.step(shake, cents, retries=2))
    return f"{paid} {shook}"


async def hold_on(cents: int) -> str:
    await steady.wait()
    return "held"


@app.agent("holding_payer")
async def holding_payer(ctx: Context, cents: int) -> str:
    paid, held = await ctx.gather(ctx.call(wire, cents), ctx.step(hold_on, cents))
    return f"{paid} {held}"


@app.agent("buyer")
async def buyer(ctx: Context, cents: int) -> str:
    decision = await ctx.approve("buy", {"cents": cents}, timeout=600)
    return f"{decision.by} said {decision.approved}"


@app.agent("rejecting", on_busy="reject")
async def rejecting(ctx: Context, word: str) -> str:
    return f"{word} {await ctx.wait_for(Go)}"


@app.agent("interrupting", on_busy="interrupt")
async def interrupting(ctx: Context, word: str) -> str:
    return f"{word} {await ctx.wait_for(Go)}"


@app.agent("mirror")
async def mirror(ctx: Context, key: str) -> str:
    return await ctx.ask(mirror, key, key=key)


@app.agent("waiting_parent")
async def waiting_parent(ctx: Context, word: str) -> str:
    return await ctx.ask(patient, word)


@app.agent("racing")
async def racing(ctx: Context, word: str) -> str:
    said = await ctx.race(ctx.wait_for(Go), ctx.sleep(0.2))
    return f"{word} {said}"


@app.agent("watched")
async def watched(ctx: Context, word: str) -> str:
    return f"{word} {await ctx.wait_for(Go)}"


class Poked(BaseModel):
    id: str


@watched.on("watched.poked", key="data.id")
async def poked(ctx: Context, event: Poked) -> None:
    await ctx.step(double, 4)
    await ctx.cancel_run("somebody poked it")


@app.agent("noting")
async def noting(ctx: Context, word: str) -> str:
    return f"{word} {await ctx.wait_for(Go)}"


@noting.on("noting.told", key="data.id")
async def told(ctx: Context, event: Poked) -> int:
    return await ctx.step(double, 4)
