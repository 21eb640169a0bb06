"""From SIGKILL of an agent worker to the next journal entry of each run that it held: ``make recovery``.

Embedded servers, two agent workers, one tool worker, one supervisor; default settings, but that the same runs may be
taken over more often than ``TRUNKLINE_TAKEOVERS`` without progress: they would be parked at the third kill. The killed
worker starts again before the next round. Each round also counts how often an instance was taken: more than once would
be a herd.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.bench.report import machine
from rich.console import Console
from rich.table import Table

from trunkline.client.client import Client
from trunkline.embedded.children import Children
from trunkline.embedded.serving import servers
from trunkline.store import workers
from trunkline.store.database import Database

APP = str(Path(__file__).with_name("holding_app.py"))
RESULT = Path(__file__).parents[1] / "results" / "recovery.json"
PARTS = {
    "supervisor": ("supervisor",),
    "agents.1": ("worker", "agents", APP),
    "agents.2": ("worker", "agents", APP),
    "tools.1": ("worker", "tools", APP),
}
AT_ONCE = 100  # starts under way
SETTLED = 3.0  # seconds of quiet before a kill
PATIENCE = 60.0  # seconds

_SCHEDULED = "select count(*) from journal where type = 'StepScheduled' and body->>'kind' = 'tool'"
_HELD = "select id::text, epoch from instances where owner = %s"
_WENT_ON = """
select instance::text, extract(epoch from min(recorded_at))::float8 from journal
where recorded_at > to_timestamp(%s) group by instance
"""
_EPOCHS = "select id::text, epoch from instances"
_DEAD = "select extract(epoch from dead_at)::float8 from workers where id = %s"


@dataclass(frozen=True)
class Round:
    """Seconds from SIGKILL. ``most_epochs`` is by how much an epoch grew at most: one for freeing, one for taking."""

    held: int
    declared_dead_s: float
    p50_s: float
    p99_s: float
    slowest_s: float
    most_epochs: int


async def rows(db: Database, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    async with db.connection() as connection:
        found: list[tuple[Any, ...]] = await (await connection.execute(sql.encode(), parameters or None)).fetchall()
        return found


async def until(check: Callable[[], Awaitable[bool]], every: float = 0.1) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await check():  # noqa: ASYNC110 - other processes have no events of ours
            await asyncio.sleep(every)


async def kill_one(db: Database) -> Round:
    """Kill the agent worker that holds most, and wait until everything that it held went on."""
    victim = max((one for one in await workers.list_workers(db) if one.kind == "agents"), key=lambda one: one.held)
    held = dict(await rows(db, _HELD, victim.worker))
    at = await db.now()
    os.kill(victim.pid, signal.SIGKILL)
    went_on: dict[str, float] = {}

    async def all_went_on() -> bool:
        found = await rows(db, _WENT_ON, at)
        went_on.update({one: when - at for one, when in found if one in held})
        return len(went_on) == len(held)

    await until(all_went_on, 0.2)
    ((dead_at,),) = await rows(db, _DEAD, victim.worker)
    epochs = dict(await rows(db, _EPOCHS))
    delays = sorted(went_on.values())
    return Round(
        held=len(held),
        declared_dead_s=round(dead_at - at, 2),
        p50_s=round(median(delays), 2),
        p99_s=round(delays[int(0.99 * len(delays))], 2),
        slowest_s=round(delays[-1], 2),
        most_epochs=max(epochs[one] - epoch for one, epoch in held.items()),
    )


async def measure(runs: int, rounds: int) -> list[Round]:
    async with servers() as stack:
        environment = stack.environment(metrics_port=0, log_level="error", takeovers=1000)
        async with Children(environment, lambda *_: None, patience=3.0) as children:
            for name, arguments in PARTS.items():
                children.add(name, *arguments)
            db = await Database.open(stack.postgres.url, size=2, wait=30)
            try:
                return await _rounds(db, await Client.direct(settings=stack.settings()), runs, rounds)
            finally:
                await db.close()


async def _rounds(db: Database, client: Client, runs: int, rounds: int) -> list[Round]:
    async def all_joined() -> bool:
        return sum(one.kind in ("agents", "tools") for one in await workers.list_workers(db)) == len(PARTS) - 1

    async def all_held() -> bool:
        return await rows(db, _SCHEDULED) == [(runs,)]

    await until(all_joined)
    async with client:
        for first in range(0, runs, AT_ONCE):
            starts = (client.start("holder", n, key=str(n)) for n in range(first, min(first + AT_ONCE, runs)))
            await asyncio.gather(*starts)
    await until(all_held)
    done = []
    for _ in range(rounds):
        await asyncio.sleep(SETTLED)
        done.append(await kill_one(db))
        await until(all_joined)
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000, help="held by two workers together")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    done = asyncio.run(measure(chosen.runs, chosen.rounds))
    table = Table(*Round.__dataclass_fields__)
    for one in done:
        table.add_row(*map(str, asdict(one).values()))
    Console().print(table)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps({"machine": machine(), "rounds": [asdict(one) for one in done]}, indent=2) + "\n")


if __name__ == "__main__":
    main()
