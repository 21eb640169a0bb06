"""How cost grows with the calls that one run makes at once: by ``gather`` all of them, by ``map`` sixteen at a time."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks.growth.exchange import Exchange, exchange

LEAST = 1000  # calls in one measurement: as many runs, one after the other


async def measure(widths: list[int]) -> list[dict[str, Any]]:
    told = []
    async with exchange(tools=1) as ours:
        for agent in ("fan", "map"):
            await ours.run(agent, "warm", {"count": 200})
        for width in widths:
            row: dict[str, Any] = {"calls": width}
            for name, agent in (("gather", "fan"), ("map", "map")):
                runs = max(LEAST // max(width, 10), 1)
                row[name] = await ours.cost(partial(_often, ours, agent, width, runs), runs * width)
            told.append(row)
    return told


async def _often(ours: Exchange, agent: str, width: int, runs: int) -> None:
    for number in range(runs):
        await ours.run(agent, f"{width}-{number}", {"count": width})
