"""Agents that have only so much time, and ask others."""

from __future__ import annotations

from trunkline import App, Context, RunCancelled, TimedOut

app = App("late")
go = app.signal("go", str)


@app.tool(effect="pure", timeout=30)
async def look_up(order_id: str) -> str:
    return order_id


@app.agent("leaf")
async def leaf(ctx: Context, word: str) -> str:
    return await ctx.call(look_up, word)


@app.agent("middle")
async def middle(ctx: Context, word: str) -> str:
    return await ctx.ask(leaf, word)


@app.agent("top")
async def top(ctx: Context, word: str) -> str:
    return await ctx.ask(middle, word)


@app.agent("patient")
async def patient(ctx: Context, word: str) -> str:
    return f"{word} {await ctx.wait_for(go)}"


@app.agent("brisk", timeout="1h")
async def brisk(ctx: Context, word: str) -> str:
    return await ctx.ask(patient, word)


@app.agent("hurried", timeout="10m")
async def hurried(ctx: Context, word: str) -> str:
    return await ctx.ask(brisk, word)


@app.agent("lenient", timeout="5h")
async def lenient(ctx: Context, word: str) -> str:
    try:
        return await ctx.ask(brisk, word)
    finally:
        await ctx.step(noted, "over")


async def noted(word: str) -> str:
    return word


@app.agent("asking")
async def asking(ctx: Context, key: str | None) -> str:
    try:
        return await ctx.ask(patient, "asked", key=key, timeout="1h")
    except TimedOut as error:
        return error.message


@app.agent("calling")
async def calling(ctx: Context, word: str) -> str:
    try:
        return await ctx.within("1h", ctx.call(look_up, word))
    except TimedOut as error:
        return error.message


@app.agent("tidy", timeout="1h")
async def tidy(ctx: Context, word: str) -> str:
    try:
        return await ctx.wait_for(go)
    except RunCancelled as cancelled:
        await ctx.step(noted, f"{word}: {cancelled.reason}")
        raise


model = app.llm_agent("talker", model="openai/gpt-5-mini")
terse = app.llm_agent("terse", model="openai/gpt-5-mini", run_timeout="30s")


@app.agent("chatty", timeout="1h")
async def chatty(ctx: Context, word: str) -> str:
    return await ctx.ask(model, word)


@app.agent("counter", on="thing.came", key="data.id")
async def counter(ctx: Context, thing: dict[str, str]) -> str:
    return f"counted {thing['id']}"


@counter.on("thing.changed", key="data.id")
async def changed(ctx: Context, thing: dict[str, str]) -> None: ...


@app.agent("strict", on_busy="reject")
async def strict(ctx: Context, word: str) -> str:
    return f"{word} {await ctx.wait_for(go)}"


@app.agent("newest", on_busy="interrupt")
async def newest(ctx: Context, word: str) -> str:
    return f"{word} {await ctx.wait_for(go)}"
