"""Agents that spawn others, watch them, and are bound to them."""

from __future__ import annotations

from typing import Any

from trunkline import App, AskFailed, Child, Context, Ended, StepError

app = App("trees")
go = app.signal("go", str)


@app.agent("worker")
async def worker(ctx: Context, word: str) -> str:
    """Ends at once, by its word; or waits for one."""
    if word == "wait":
        word = await ctx.wait_for(go)
    if word == "fail":
        raise ValueError("as it was told")
    return word.upper()


@app.agent("watcher")
async def watcher(ctx: Context, run: str) -> dict[str, Any]:
    """Tells how another run ended."""
    try:
        return (await ctx.monitor(run)).model_dump()
    except StepError as error:
        return {"error": error.type}


@app.agent("parent")
async def parent(ctx: Context, how: dict[str, Any]) -> dict[str, Any]:
    """Spawns a child; waits for its end, or for a signal."""
    spawn = {name: how[name] for name in ("key", "on_parent_end", "link") if name in how}
    child: Child[str] = await ctx.spawn(worker, how["word"], **spawn)
    if how.get("cancel"):
        await child.cancel("no longer wanted")
    if how.get("linked_later"):
        await ctx.link(child)
    if how.get("then") == "end":
        return {"child": child.run}
    if how.get("then") == "fail":
        raise ValueError("the parent")
    if how.get("then") == "result":
        return {"result": await _result(child)}
    if how.get("then") == "hold":
        return {"held": await ctx.wait_for(go)}
    end: Ended = await child.ended()
    return {"child": child.run, "key": child.key, "status": end.status, "output": end.output, "error": end.error}


async def _result(child: Child[str]) -> str:
    try:
        return await child.result()
    except AskFailed as error:
        return error.type


@app.agent("crowd")
async def crowd(ctx: Context, number: int) -> list[str]:
    """Spawns many, and waits for all of them."""
    children = [await ctx.spawn(worker, f"w{n}") for n in range(number)]
    ends = await ctx.gather(*[child.ended() for child in children])
    return [end.output for end in ends]


@app.agent("fickle")
async def fickle(ctx: Context, run: str) -> str:
    """Watches for a while, and then no longer."""
    step = ctx.monitor(run)
    await ctx.race(step, ctx.sleep("1m"))
    return await ctx.wait_for(go)


@app.agent("brief", timeout="1h")
async def brief(ctx: Context, on_parent_end: str) -> Any:
    """Has an hour, and spawns what takes longer."""
    child = await ctx.spawn(worker, "wait", key="brief", on_parent_end=on_parent_end)  # type: ignore[arg-type]
    return (await child.ended()).status
