"""A model-driven agent of three turns and two tools, as in ``make bench``."""

from __future__ import annotations

from trunkline import App

app = App("turns")


@app.tool(effect="pure", timeout=60, concurrency=8192)
async def look_up(order: str) -> str:
    """Look an order up."""
    return f"{order} was shipped"


turn = app.llm_agent("turn", model="openai/scripted", instructions="You help.", tools=[look_up])
