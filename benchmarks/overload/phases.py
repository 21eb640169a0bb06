"""One phase: so much is offered for so long, and then waited for until nothing is open any more."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import defaultdict
from contextlib import suppress
from typing import Any

from benchmarks.bench import cpu
from benchmarks.overload.exchange import Exchange, until

LOOK_EVERY = 0.5  # seconds
TOLD_EVERY = 5.0  # seconds of the memory curve
DRAINED_WITHIN = 900.0  # seconds

_MARK = "select coalesce(max(created_at), 'epoch')::text from runs"
_COUNTS = "select count(*), count(*) filter (where ended_at is not null) from runs where created_at > %s"
_NOW = "select clock_timestamp()::text"
_WITHIN = """
select count(*) filter (where created_at between w.middle and w.ended) / extract(epoch from w.ended - w.middle)::float8,
       count(*) filter (where ended_at between w.middle and w.ended) / extract(epoch from w.ended - w.middle)::float8
from runs, (select b + (e - b) / 2 as middle, e as ended
            from (select %s::timestamptz as b, %s::timestamptz as e) as offered) w
where created_at > %s group by w.middle, w.ended
"""
_TOOK = """
select percentile_cont(array[0.5, 0.99]) within group (order by extract(epoch from ended_at - created_at)) from runs
where created_at > %s and status = 'completed'
"""
_COMPLETED = "select count(*) from runs where id = any(%s::uuid[]) and status = 'completed'"
_OTHERWISE = "select count(*) from runs where created_at > %s and status <> 'completed'"


async def phase(ours: Exchange, way: str, rate: float, seconds: float, name: str) -> dict[str, Any]:
    """Rates are a second, in the second half of the time in which there was an offer: in the first the runs that were
    taken up together are still under way. Times in milliseconds; memory in MB: at the beginning, at its most, last.
    """
    mark = await ours.one(_MARK)
    memory: dict[str, list[int]] = defaultdict(list)
    curve: list[dict[str, float]] = []
    watching = asyncio.create_task(_watch(ours, memory, curve))
    began, waited, begun_at = time.monotonic(), cpu.waiting(), await ours.one(_NOW)
    heard = await _offered(ours, way, rate, seconds, name)
    ended_at = await ours.one(_NOW)
    offering, waited = time.monotonic() - began, cpu.waiting() - waited
    within = (await ours.rows(_WITHIN, begun_at, ended_at, mark))[0]
    await _drained(ours, mark, heard["answered"].get("stored", 0))
    drained = time.monotonic() - began
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    return await _said(ours, mark, heard) | {
        "way": way,
        "seconds": round(offering, 1),
        "accepted_per_s": round(within[0], 1),
        "completed_per_s": round(within[1], 1),
        "drained_after_s": round(drained - offering, 1),
        "offered_per_s": round(rate, 1),
        "cores_waiting_for_disk": round(waited / offering, 2),
        "memory_mb": {one: _curve(seen) for one, seen in memory.items()},
        "memory_mb_over_time": curve,
    }


async def _offered(ours: Exchange, way: str, rate: float, seconds: float, name: str) -> dict[str, Any]:
    where = ours.gateway if way == "http" else ours.nats
    command = [
        sys.executable,
        "-m",
        "benchmarks.overload.load",
        way,
        str(rate),
        str(seconds),
        where,
        name,
        ours.postgres,
    ]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, limit=1 << 28)
    said, _ = await process.communicate()
    return dict(json.loads(said))


async def _drained(ours: Exchange, mark: str, events: int) -> None:
    """All that was accepted has ended; and as many runs were, as events were stored."""

    async def ended() -> bool:
        accepted, done = (await ours.rows(_COUNTS, mark))[0]
        return bool(accepted == done and accepted >= events)

    await until(ended, DRAINED_WITHIN, every=LOOK_EVERY)


async def _said(ours: Exchange, mark: str, heard: dict[str, Any]) -> dict[str, Any]:
    runs = heard.pop("runs")
    accepted, _ = (await ours.rows(_COUNTS, mark))[0]
    (took,) = (await ours.rows(_TOOK, mark))[0]
    return heard | {
        "accepted": accepted,
        "told_accepted": len(runs),
        "told_and_completed": await ours.one(_COMPLETED, runs) if runs else 0,
        "not_completed": await ours.one(_OTHERWISE, mark),
        "run_ms": {"p50": round(1000 * float(took[0]), 1), "p99": round(1000 * float(took[1]), 1)} if took else {},
    }


async def _watch(ours: Exchange, memory: dict[str, list[int]], curve: list[dict[str, float]]) -> None:
    """``curve`` has the seconds since the beginning, and MB by process."""
    began = time.monotonic()
    while True:
        resident, at = ours.resident(), time.monotonic() - began
        for name, size in resident.items():
            memory[name].append(size)
        if at >= len(curve) * TOLD_EVERY:
            curve.append({"s": round(at, 1), **{name: round(size / 2**20, 1) for name, size in resident.items()}})
        await asyncio.sleep(LOOK_EVERY)


def _curve(seen: list[int]) -> list[int]:
    return [round(size / 2**20) for size in (seen[0], max(seen), seen[-1])]
