"""How cost grows with the instances that lie there: a run on a dormant one, and what reads whole tables meanwhile."""

from __future__ import annotations

import asyncio
import random
import time
from functools import partial
from typing import Any

from benchmarks.growth.exchange import Exchange, exchange
from benchmarks.suspension.filling import AGENT, TEMPLATE, fill, key

RUNS = 200  # of instances at random, one after the other
LARGE = 500  # rows: Postgres reads smaller tables whole, and is right
QUIET = 10.0  # seconds in which only the supervisor and the worker look

_SCANS = "select relname, seq_scan from pg_stat_user_tables where n_live_tup > %s"


async def measure(sizes: list[int]) -> list[dict[str, Any]]:
    told, filled = [], 0
    async with exchange(idle_after=1.0) as ours:
        await ours.run(AGENT, TEMPLATE, 1)
        await ours.nobody_held()
        for size in sizes:
            began = time.monotonic()
            await fill(ours, filled, size)
            filled = size
            row: dict[str, Any] = {"instances": size, "fill_s": round(time.monotonic() - began, 1)}
            row["a_second_of_quiet"] = await ours.cost(partial(asyncio.sleep, QUIET), int(QUIET))
            scans = dict(await ours.rows(_SCANS, LARGE))
            row["a_run"] = await ours.cost(partial(_runs, ours, size), RUNS)
            now = dict(await ours.rows(_SCANS, LARGE))
            row["tables_read_whole"] = sorted(name for name in now if now[name] > scans.get(name, now[name]))
            told.append(row)
    return told


async def _runs(ours: Exchange, size: int) -> None:
    for number in random.sample(range(size), RUNS):
        await ours.run(AGENT, key(number), number)
