"""A million idle instances beside: how fast one of them is awake, and what looks at all of them again and again."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial
from statistics import median
from typing import Any

from benchmarks.suspension.exchange import TENANT, Exchange, exchange, percentiles, until
from benchmarks.suspension.filling import AGENT, TEMPLATE, fill, key

from trunkline.access.entrance import Entrance
from trunkline.access.letters import request
from trunkline.store import at_hand, mailbox, pauses, reclaim, retention, runs, schedules, timers, workers
from trunkline.store.accept import accept
from trunkline.store.database import Database
from trunkline.supervisor.wakes import wake

WOKEN = 300  # dormant instances, one after the other
LOOKS = 20
LETTERS, SENDERS, TOGETHER = 5000, 4, 100  # accepted by how many at once, and how many in a batch
WAVES = 5  # of so many, before the first reading: by then the worker's heap has the size that it keeps
YEAR = 365 * 86400.0

_DISK = "select pg_database_size(current_database())"
_TOOK = """
select extract(epoch from min(j.recorded_at) - m.created_at)::float8,
       extract(epoch from max(j.recorded_at) - m.created_at)::float8
from mailbox m join journal j on j.run = m.run and j.instance = m.instance
where m.run = any(%s::uuid[]) and m.kind = 'request' group by m.run, m.created_at
"""
_ENDED = "select count(*) from runs where id = any(%s::uuid[]) and ended_at is not null"


# What somebody does every so often, whatever happens: the supervisor's duties, and every worker's polls.
async def _forget(what: str, db: Database) -> object:
    return await retention.forget(db, what, YEAR, 500)


PERIODIC: dict[str, Callable[[Database], Awaitable[object]]] = {
    "untaken mail": lambda db: mailbox.untaken(db, 2.0, 1000),
    "still runs": lambda db: reclaim.stalled(db, 2.0),
    "departed workers": workers.departed,
    "due timers": timers.fire_due,
    "due schedules": schedules.fire_due,
    "ended runs that are old": lambda db: retention.ended(db, YEAR, 50),
    "taken mail that is old": lambda db: retention.forget_mail(db, YEAR, 500),
    **{f"old {what}": partial(_forget, what) for what in retention.REST},
    "runs parked for want of code": lambda db: runs.diverged(db, TENANT, {AGENT: "code"}, limit=1000),
    "paused agents": lambda db: pauses.paused(db, TENANT),
    "mail of a resumed agent": lambda db: pauses.waiting(db, TENANT, AGENT),
    "what others decide": lambda db: at_hand.look(db, TENANT, [AGENT]),
    "stalest worker": lambda db: workers.silent(db, 1.0),
}


async def beside(sizes: list[int]) -> list[dict[str, Any]]:
    """The same measurements beside ever more idle instances."""
    told, filled = [], 0
    async with exchange(idle_after=1.0) as ours:
        await _run(ours, [TEMPLATE])
        for wave in range(WAVES):
            await _accepted(ours, f"warm-{wave}")
            await until(lambda: _nobody_held(ours), 60)
        for size in sizes:
            began = time.monotonic()
            await fill(ours, filled, size)
            filled = size
            told.append(
                {"idle": size, "fill_s": round(time.monotonic() - began, 1), "disk": await ours.one(_DISK)}
                | await _woken(ours, size)
                | {"looks_ms": await _looks(ours.db), "accepted_per_s": await _accepted(ours, f"new-{size}")}
            )
            await until(lambda: _nobody_held(ours), 60)
            told[-1]["resident"] = ours.resident()  # of the agent worker: what these instances leave in it
    return told


async def _nobody_held(ours: Exchange) -> bool:
    return bool(await ours.one("select count(*) from instances where owner is not null") == 0)


async def _run(ours: Exchange, keys: list[str]) -> list[str]:
    """A run each of these instances, one after the other."""
    entrance, begun = Entrance(ours.db, ours.bus), []
    for one in keys:
        run = (await entrance.begin(TENANT, AGENT, one, 1)).run
        begun.append(run)
        await until(partial(_all_ended, ours, [run]), 30, every=0.002)
    return begun


async def _all_ended(ours: Exchange, some: list[str]) -> bool:
    return bool(await ours.one(_ENDED, some) == len(some))


async def _woken(ours: Exchange, size: int) -> dict[str, Any]:
    """From the request to a dormant instance to its first entry, and to the answer."""
    begun = await _run(ours, [key(number) for number in random.sample(range(size), WOKEN)])
    took = await ours.rows(_TOOK, begun)
    return {"to_first_entry": percentiles([one for one, _ in took]), "to_answer": percentiles([one for _, one in took])}


async def _looks(db: Database) -> dict[str, float]:
    """The median of each periodic query, in milliseconds."""
    found = {}
    for name, look in PERIODIC.items():
        times = []
        for _ in range(LOOKS):
            began = time.monotonic()
            await look(db)
            times.append(time.monotonic() - began)
        found[name] = round(1000 * median(times), 2)
    return found


async def _accepted(ours: Exchange, name: str) -> int:
    """Letters for new instances accepted in a second; then their runs are waited for."""
    letters = [request(TENANT, AGENT, f"{name}-{n}", n, None, deadline=None) for n in range(LETTERS)]
    batches = [letters[start : start + TOGETHER] for start in range(0, LETTERS, TOGETHER)]
    began = time.monotonic()
    await asyncio.gather(*(_send(ours.db, batches[first::SENDERS]) for first in range(SENDERS)))
    seconds = time.monotonic() - began
    await wake(ours.bus, [(TENANT, AGENT, letter.instance) for letter in letters])
    await until(lambda: _all_ended(ours, [letter.run for letter in letters]), 120)
    return round(LETTERS / seconds)


async def _send(db: Database, batches: list[list[Any]]) -> None:
    for batch in batches:
        await accept(db, batch)
