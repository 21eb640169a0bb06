"""What must not happen twice is not repeated by whoever would begin it again: its own policy, its asker, its team."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline import App, AskFailed, Context, Member
from trunkline.testing import ExchangeFactory

app = App("once")
baked: list[str] = []


@app.tool(effect="unsafe")
async def bake(what: str) -> str:
    baked.append(what)
    return what


@app.agent("dropping")
async def dropping(ctx: Context, what: str) -> str:
    await ctx.call(bake, what)
    raise RuntimeError("dropped")


@app.agent("serving")
async def serving(ctx: Context, what: str) -> str:
    return await ctx.call(bake, what)


@app.agent("asking", restart="transient")
async def asking(ctx: Context, what: str) -> str:
    await ctx.ask(serving, what)
    raise RuntimeError("afterwards")


@app.agent("hoping", restart="transient")
async def hoping(ctx: Context, what: str) -> str:
    return await ctx.ask(dropping, what)


@app.agent("expecting", restart="transient")
async def expecting(ctx: Context, what: str) -> str:
    child = await ctx.spawn(dropping, what)
    return await child.result()


@app.agent("content", restart="transient")
async def content(ctx: Context, what: str) -> str:
    try:
        return await ctx.ask(dropping, what)
    except AskFailed:
        return "no bread, then"


kitchen = app.team("kitchen", input=str, members=[Member(dropping, "bread", restart="transient")])
house = app.team("house", input=str, members=[Member(kitchen, "bread")])


@pytest.mark.parametrize("agent", [asking, hoping, expecting, kitchen, house], ids=lambda agent: agent.name)
async def test_whoever_waits_for_an_unsafe_effect_does_not_repeat_it(exchange: ExchangeFactory, agent: Any) -> None:
    baked.clear()
    async with exchange(app) as tl:
        run = await tl.start(agent, "bread")
        await tl.skip("10m")
        shown = await run.show()
        assert (shown["status"], shown["restarts"], baked) == ("failed", 0, ["bread"])
        assert "not begun again, because step" in shown["error"]["message"]
        assert shown["error"]["unsafe"]


async def test_a_failure_says_what_may_not_repeat_whatever_the_policy(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await tl.start(dropping, "bread")
        await tl.settle()
        assert (await run.show())["error"] == {
            "type": "RuntimeError", "message": "dropped", "retryable": False, "unsafe": "tool:bake#1",
        }  # fmt: skip


async def test_who_catches_it_goes_on(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await tl.start(content, "bread")
        assert await run.result() == "no bread, then"
