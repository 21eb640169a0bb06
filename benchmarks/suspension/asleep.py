"""Many runs that wait for a signal, on one worker: what they cost while they sleep, and how fast they are awake."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

from benchmarks.suspension.exchange import TENANT, Exchange, exchange, percentiles, until

from trunkline.access.entrance import Entrance
from trunkline.access.letters import request
from trunkline.store.accept import accept
from trunkline.supervisor.wakes import wake

AGENT = "sleeper"
BATCH = 500  # runs accepted at once
AHEAD = 4000  # runs that are accepted and do not sleep yet
WARM = 500  # runs before the first reading: what code and connections cost is there by then
PATIENT = 30.0  # seconds of a lease: with so many objects a full garbage collection is a long silence
PACE = 0.01  # seconds from one signal to the next

_ASLEEP = "select count(*) from runs where agent = 'sleeper' and status = 'waiting'"
_HELD = "select count(*) from instances where owner is not null"
_SOME = "select id::text from runs where agent = 'sleeper' and status = 'waiting' order by md5(id::text || %s) limit %s"
_DISK = """
select sum(pg_total_relation_size(c.oid))::bigint from pg_class c
where c.relkind in ('r', 'p') and c.relname in ('instances', 'mailbox', 'runs', 'snapshots', 'timers')
   or c.relname ~ '^journal_[0-9]+$'
"""
# Both by Postgres's clock: from the acceptance of the signal to the entry that it made.
_WAKING = """
select extract(epoch from j.recorded_at - m.created_at)::float8
from mailbox m join journal j on j.run = m.run and j.instance = m.instance and j.type = 'SignalReceived'
where m.kind = 'signal' and m.run = any(%s::uuid[])
"""


async def in_memory(runs: int) -> dict[str, Any]:
    """Room for all of them: what one takes."""
    async with exchange(**_room(runs, 600.0), lease=PATIENT) as ours:
        return (await _all_asleep(ours, runs))[0]


async def all_in_memory(runs: int, signals: int) -> dict[str, Any]:
    """Room for all of them, and time: then they leave by age, and come back by replay."""
    idle = max(60.0, runs / 400)
    async with exchange(**_room(runs, idle), lease=PATIENT) as ours:
        told, before = await _all_asleep(ours, runs)
        told["waking_in_memory"] = await _wake_some(ours, signals)
        await until(lambda: _nobody_held(ours), 3 * idle + 120, every=1.0)
        left = ours.resident()
        told |= {
            "resident_after_eviction": left,
            "bytes_a_run_after_eviction": round((left - before) / runs),
            "waking_by_replay": await _wake_some(ours, signals),
        }
        return told


def _room(runs: int, idle: float) -> dict[str, Any]:
    return {"max_activations": 2 * runs + WARM, "memory_limit": 1 << 40, "idle_after": idle}


async def _all_asleep(ours: Exchange, runs: int) -> tuple[dict[str, Any], int]:
    """What they take while all of them sleep, and the worker's resident bytes before."""
    before, disk = await _warm(ours)
    seconds = await _put_to_sleep(ours, WARM, WARM + runs)
    after = ours.resident()
    told = {
        "runs": runs,
        "seconds_to_sleep": round(seconds, 1),
        "resident_before": before,
        "resident_all_in_memory": after,
        "peak": ours.peak(),
        "bytes_a_run_in_memory": round((after - before) / runs),
        "postgres_bytes_a_run": round((await ours.one(_DISK) - disk) / runs),
    }
    return told, before


async def by_default(runs: int, signals: int) -> dict[str, Any]:
    """The same with default settings: who sleeps makes room for others."""
    async with exchange() as ours:
        before, _ = await _warm(ours)
        seconds = await _put_to_sleep(ours, WARM, WARM + runs)
        return {
            "runs": runs,
            "seconds_to_sleep": round(seconds, 1),
            "resident_before": before,
            "resident_all_asleep": ours.resident(),
            "peak": ours.peak(),
            "waking": await _wake_some(ours, signals),
        }


async def _warm(ours: Exchange) -> tuple[int, int]:
    await _put_to_sleep(ours, 0, WARM)
    await _wake_some(ours, WARM // 2)
    return ours.resident(), await ours.one(_DISK)


async def _put_to_sleep(ours: Exchange, first: int, last: int) -> float:
    """Start runs through the usual acceptance, and wait until all of them wait. Returns the seconds that it took."""
    began = time.monotonic()
    asleep = await ours.one(_ASLEEP)
    for start in range(first, last, BATCH):
        letters = [
            request(TENANT, AGENT, str(number), number, None, deadline=None)
            for number in range(start, min(start + BATCH, last))
        ]
        await accept(ours.db, letters)
        await wake(ours.bus, [(TENANT, AGENT, letter.instance) for letter in letters])
        await _until_asleep(ours, asleep + start - first + len(letters) - AHEAD)
    await _until_asleep(ours, asleep + last - first)
    return time.monotonic() - began


async def _until_asleep(ours: Exchange, wanted: int) -> None:
    async def asleep() -> bool:
        return bool(wanted <= 0 or await ours.one(_ASLEEP) >= wanted)

    await until(asleep, 300)


async def _nobody_held(ours: Exchange) -> bool:
    return bool(await ours.one(_HELD) == 0)


async def _wake_some(ours: Exchange, signals: int) -> dict[str, float]:
    """Signal some at random, a hundred a second, and tell how long each took to be in its run's journal."""
    some = [run for (run,) in await ours.rows(_SOME, str(random.random()), signals)]
    entrance = Entrance(ours.db, ours.bus)
    sending = []
    for run in some:
        sending.append(asyncio.create_task(entrance.signal_run(TENANT, run, "go", "on")))
        await asyncio.sleep(PACE)
    await asyncio.gather(*sending)

    async def all_heard() -> bool:
        return len(await ours.rows(_WAKING, some)) == len(some)

    await until(all_heard, 60)
    return percentiles([seconds for (seconds,) in await ours.rows(_WAKING, some)])
