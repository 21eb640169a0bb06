"""How cost grows with the requests that wait for one instance."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks.growth.exchange import Exchange, exchange
from benchmarks.suspension.exchange import TENANT, until

from trunkline.access.letters import request
from trunkline.store.accept import accept
from trunkline.supervisor.wakes import wake

TOGETHER = 500  # letters of one commit
_LEFT = "select count(*) from runs where key = %s and ended_at is null"


async def measure(lengths: list[int]) -> list[dict[str, Any]]:
    """So many runs of one step, all of one instance, which has them one after the other."""
    told = []
    async with exchange() as ours:
        await _queue(ours, "warm", 200)
        for length in lengths:
            cost = await ours.cost(partial(_queue, ours, f"queue-{length}", length), length)
            told.append({"waiting": length, "a_run": cost})
    return told


async def _queue(ours: Exchange, key: str, length: int) -> None:
    letters = [request(TENANT, "stepper", key, {"count": 1}, None, deadline=None) for _ in range(length)]
    for first in range(0, length, TOGETHER):
        await accept(ours.db, letters[first : first + TOGETHER])
    await wake(ours.bus, [(TENANT, "stepper", letters[0].instance)])

    async def so() -> bool:
        return bool(await ours.one(_LEFT, key) == 0)

    await until(so, 120, every=0.1)
