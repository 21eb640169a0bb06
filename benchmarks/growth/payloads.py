"""How cost grows with the size of what a step takes and gives: locally, and by a tool worker."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks.growth.exchange import exchange

STEPS = {200: 400, 20_000: 200, 1_000_000: 20}  # of a run, by the size


async def measure(sizes: list[int]) -> list[dict[str, Any]]:
    """A step takes text of so many characters, and gives it back: it is journalled twice."""
    told = []
    async with exchange(tools=1) as ours:
        for agent in ("stepper", "caller"):
            await ours.run(agent, "warm", {"count": 50, "size": 200})
        for size in sizes:
            row: dict[str, Any] = {"bytes": size}
            for name, agent in (("local", "stepper"), ("remote", "caller")):
                count = STEPS.get(size, 20)
                work = {"count": count, "size": size}
                row[name] = await ours.cost(partial(ours.run, agent, f"{size}", work), count)
            row["kept_aside"] = await ours.one("select count(*) from payloads")
            told.append(row)
    return told
