"""One agent, one tool, and one agent that a model drives: so that every kind of process has something to wait for."""

from __future__ import annotations

from trunkline import App, Context

app = App("idle")


@app.tool(effect="pure")
async def look_up(order: str) -> str:
    """Look an order up."""
    return f"{order} was shipped"


@app.agent("clerk", on="order.placed")
async def clerk(ctx: Context, order: str) -> str:
    return await ctx.call(look_up, order)


helper = app.llm_agent("helper", model="openai/none", instructions="You help.", tools=[look_up])
