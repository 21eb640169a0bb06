"""After the faults: everything is made well, and has to come to its end within a bounded number of rounds."""

from __future__ import annotations

from collections.abc import Sequence

from property.exchange_model import Ended
from property.exchange_world import World

ROUNDS = 60
ENDS = ("completed", "failed", "cancelled")


async def heal(world: World, *, anew: bool) -> list[str]:
    """Make all well, let all come to its end, and say what is wrong then. ``anew``: without the workers of old."""
    await _replace_workers(world, anew)
    for job in [one for one in world.hands.jobs if one.state in ("taken", "asking")]:
        world.hands.die(job)  # many may hold one item by now: it is delivered once more, to one
    for number in range(ROUNDS):
        await world.flow(world.workers[-1])
        runs = await world.runs()
        if all(run.status in ENDS for run in runs):
            break
        await _free(world, runs)
        await world.flow(world.workers[-1])
        await world.advance(100.0 * (number + 1))
    await world.reconcile()
    await world.flow(world.workers[-1])
    return await world.watch.verdict()


async def _replace_workers(world: World, anew: bool) -> None:
    for worker in world.workers:
        worker.fuse.arm(0, "")
        if anew or not worker.alive:
            await world.kill(worker)
            await world.declare_dead(worker)
    await world.join()


async def _free(world: World, runs: Sequence[Ended]) -> None:
    """Give everything that something still waits for."""
    for asked in world.model.asked.values():
        for _ in range(asked.owed):
            await world.signal(asked)
    for run in runs:
        if run.status == "parked":
            await world.resolve(run, "again")
    await world.flow(world.workers[-1])
    await world.watch.timers()
    await world.fire_timers()
    await world.reconcile()
