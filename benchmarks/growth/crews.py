"""How cost grows with the agent workers that share the work."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks.growth.exchange import Exchange, exchange
from benchmarks.suspension.exchange import TENANT, until

from trunkline.access.letters import request
from trunkline.store.accept import accept
from trunkline.supervisor.wakes import wake

RUNS, STEPS = 1000, 10
_LEFT = "select count(*) from runs where ended_at is null"


async def measure(workers: list[int]) -> list[dict[str, Any]]:
    """A thousand runs of ten local steps, all accepted at once."""
    told = []
    for count in workers:
        async with exchange(agents=count) as ours:
            await _all(ours, "warm", 200)
            cost = await ours.cost(partial(_all, ours, "run", RUNS), RUNS * STEPS)
            told.append({"workers": count, "a_step": cost, "steps_per_s": round(1000 / cost["wall_ms"])})
    return told


async def _all(ours: Exchange, name: str, runs: int) -> None:
    letters = [request(TENANT, "stepper", f"{name}-{n}", {"count": STEPS}, None, deadline=None) for n in range(runs)]
    await accept(ours.db, letters)
    await wake(ours.bus, [(TENANT, "stepper", letter.instance) for letter in letters])

    async def so() -> bool:
        return bool(await ours.one(_LEFT) == 0)

    await until(so, 120, every=0.05)
