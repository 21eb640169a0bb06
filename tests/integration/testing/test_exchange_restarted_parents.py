"""What a run had spawned before it was begun again: it ends with that life, and stays when the run only continues."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline import App, Context
from trunkline.testing import ExchangeFactory

app = App("parents")
go = app.signal("go", str)


@app.agent("worker")
async def worker(ctx: Context, n: int) -> str:
    return await ctx.wait_for(go)


@app.agent("parent", restart="transient")
async def parent(ctx: Context, how: dict[str, Any]) -> str:
    child = await ctx.spawn(worker, ctx.restarts, **how)
    if ctx.restarts == 0:
        raise RuntimeError("once")
    return (await child.ended()).status


@app.agent("later", restart="permanent")
async def later(ctx: Context, how: dict[str, Any]) -> None:
    await ctx.spawn(worker, ctx.restarts, **how)
    await ctx.sleep("100s" if ctx.restarts == 0 else "1d")


@app.agent("renewing")
async def renewing(ctx: Context, n: int) -> None:
    await ctx.spawn(worker, n)
    if n:
        ctx.continue_as_new(n - 1)
    await ctx.wait_for(go)


@pytest.mark.parametrize("how", [{"key": "k"}, {}, {"link": True}], ids=str)
@pytest.mark.parametrize("agent", [parent, later], ids=["at once", "later"])
async def test_a_restart_stops_the_children_of_before(exchange: ExchangeFactory, agent: Any, how: Any) -> None:
    async with exchange(app) as tl:
        run = await tl.start(agent, how)
        await tl.skip("10m")
        children = (await tl.runs(agent="worker"))["items"][::-1]
        assert [child["status"] for child in children] == ["cancelled", "waiting"]
        assert (await run.status(), (await run.show())["restarts"]) == ("waiting", 1)


async def test_children_stay_when_their_parent_continues(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        await tl.start(renewing, 1)
        await tl.settle()
        assert [child["status"] for child in (await tl.runs(agent="worker"))["items"]] == ["waiting", "waiting"]
