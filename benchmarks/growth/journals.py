"""How cost grows with the length of a journal: one more step, and coming back with and without a snapshot."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks.growth.exchange import Exchange, exchange
from benchmarks.growth.filling import fill
from benchmarks.suspension.exchange import TENANT, until

from trunkline.domain.ids import instance_id
from trunkline.store.audit import audit

TEMPLATE, RUN = "template", 9  # steps of the template's run: 20 entries
ENTRIES = 2 * RUN + 2
COPIES = {10: 20, 1000: 10, 100_000: 3}  # instances of each length, for one is too few to see the short ones
STEPS = 500  # of a run on an instance in memory
AGAIN = 10  # times that an instance comes back with a snapshot

TOGETHER = 1000  # steps for one signal, while the journal is made longer
_HEAD = "select coalesce(max(head), 0) from instances where id = %s"


async def many_runs(sizes: list[int]) -> list[dict[str, Any]]:
    """Of runs that have ended: what an instance comes back from, with its snapshot and without."""
    async with exchange(idle_after=0.3) as ours:
        await ours.run("stepper", TEMPLATE, {"count": RUN})
        await ours.nobody_held()
        told = [await _long(ours, size) for size in sizes]
        await ours.nobody_held()
        found = (await audit(ours.db, TENANT)).violations
        if found:
            raise RuntimeError(f"the journals are not sound: {found[:3]}")
        return told


async def _long(ours: Exchange, size: int) -> dict[str, Any]:
    keys = [f"{size}-{number}" for number in range(COPIES.get(size, 3))]
    await fill(ours, "stepper", TEMPLATE, keys, max(size // ENTRIES, 1))

    async def once_each() -> None:
        for key in keys:
            await ours.run("stepper", key, {"count": 1})

    async def again() -> None:
        for _ in range(AGAIN):
            await ours.run("stepper", keys[0], {"count": 1})
            await ours.nobody_held()

    without = await ours.cost(once_each, len(keys))  # the run's end writes the snapshot, if the journal is long enough
    await ours.nobody_held()
    with_snapshot = await ours.cost(again, AGAIN)
    await ours.run("stepper", keys[0], {"count": 1})
    steps = await ours.cost(partial(ours.run, "stepper", keys[0], {"count": STEPS}), STEPS)
    await ours.nobody_held()
    return {
        "entries": size,
        "a_step": steps,
        "back_without_snapshot": without,
        "back_with_snapshot": with_snapshot,
    }


async def one_run(agent: str, sizes: list[int]) -> list[dict[str, Any]]:
    """Of a run that hears of work by signals: it goes on in memory, and comes back after a rest."""
    told, done, steps = [], 0, 100
    async with exchange(idle_after=1.0) as ours:
        run = await ours.start(agent, "it", {})
        await _at_least(ours, agent, 2)
        for size in sizes:
            wanted = max(size // 2, 1)
            while (more := min(TOGETHER, wanted - steps - done)) > 0:
                await _signal(ours, agent, run, more)
                done += more
            in_memory = await ours.cost(partial(_signal, ours, agent, run, steps), steps)
            await ours.nobody_held()
            back = await ours.cost(partial(_signal, ours, agent, run, 1), 1)
            done += steps + 1
            told.append({"entries": size, "a_step": in_memory, "back": back})
    return told


async def _signal(ours: Exchange, agent: str, run: str, steps: int) -> None:
    """Have ``steps`` done, and wait for their entries: two each, two of the signal, one of the wait for the next."""
    before = await ours.one(_HEAD, instance_id(TENANT, agent, "it"))
    await ours.entrance.signal_run(TENANT, run, "go", steps)
    await _at_least(ours, agent, before + 2 * steps + 3)


async def _at_least(ours: Exchange, agent: str, entries: int) -> None:
    async def so() -> bool:
        return bool(await ours.one(_HEAD, instance_id(TENANT, agent, "it")) >= entries)

    await until(so, 300, every=0.02)
