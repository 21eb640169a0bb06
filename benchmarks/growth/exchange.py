"""The exchange that is measured, with as many workers as asked for, and a meter for what a piece of work costs it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.bench import cpu
from benchmarks.suspension.exchange import TENANT, until
from benchmarks.suspension.exchange import Exchange as OneWorker

from trunkline.access.entrance import Entrance
from trunkline.access.following import Following
from trunkline.bus.connection import Bus
from trunkline.embedded.children import Children
from trunkline.embedded.serving import servers
from trunkline.store import workers
from trunkline.store.database import Database
from trunkline.store.definitions import current

APP = str(Path(__file__).with_name("growing_app.py"))
LONGEST = 300.0  # seconds that one run may take
SETTLING = 0.6  # seconds after which Postgres has added up what it did

# What the database did since it was made: statements (each is a transaction of its own here) and rows that it read.
_DONE = """
select xact_commit + xact_rollback, tup_returned + tup_fetched from pg_stat_database where datname = current_database()
"""


@dataclass
class Exchange(OneWorker):
    """``pids`` are all processes by role; agent workers and tool workers are several roles, ``agents.0`` and so on."""

    pids: dict[str, int]

    def __post_init__(self) -> None:
        self.entrance = Entrance(self.db, self.bus)
        self._following = Following(self.db, self.bus)

    async def start(self, agent: str, key: str, work: Any) -> str:
        return (await self.entrance.begin(TENANT, agent, key, work)).run

    async def run(self, agent: str, key: str, work: Any) -> str:
        """Start a run and wait for its end; its id."""
        run = await self.start(agent, key, work)
        await self.ended(run)
        return run

    async def ended(self, run: str) -> None:
        found = await self._following.ended(TENANT, run, LONGEST)
        if found.status != "completed":
            raise RuntimeError(f"run {run} is {found.status}: {found.error or found.parked_detail}")

    async def nobody_held(self, limit: float = 60.0) -> None:
        """Wait until every instance has left memory."""

        async def so() -> bool:
            return bool(await self.one("select count(*) from instances where owner is not null") == 0)

        await until(so, limit, every=0.1)

    async def cost(self, work: Callable[[], Awaitable[object]], count: int) -> dict[str, float]:
        """Milliseconds of each part's CPU, statements, rows read, and wall milliseconds, for each of ``count`` things
        that ``work`` does. What the idle supervisor and heartbeats need meanwhile is in it.
        """
        before, did, began = cpu.seconds(self.pids), await self._done(), time.monotonic()
        await work()
        wall, after = time.monotonic() - began, cpu.seconds(self.pids)
        done = [now - then for now, then in zip(await self._done(), did, strict=True)]
        spent = {role: 1000 * (after[role] - before[role]) / count for role in self.pids}
        told = {f"{role}_ms": round(ms, 3) for role, ms in _together(spent).items()}
        told |= {"statements": round(done[0] / count, 2), "rows_read": round(done[1] / count, 1)}
        return told | {"wall_ms": round(1000 * wall / count, 3)}

    async def _done(self) -> tuple[int, int]:
        await asyncio.sleep(SETTLING)
        statements, read = (await self.rows(_DONE))[0]
        return int(statements), int(read)


def _together(spent: dict[str, float]) -> dict[str, float]:
    """Workers of one kind as one."""
    together: dict[str, float] = {}
    for role, ms in spent.items():
        kind = role.partition(".")[0]
        together[kind] = together.get(kind, 0.0) + ms
    return together


@asynccontextmanager
async def exchange(agents: int = 1, tools: int = 0, **settings: Any) -> AsyncIterator[Exchange]:
    """``settings`` are what the workers have otherwise than by default."""
    async with servers() as stack:
        environment = stack.environment(metrics_port=-1, log_level="error", **settings)
        async with Children(environment, print, patience=30.0) as children:
            children.add("supervisor", "supervisor")
            for kind, count in (("agents", agents), ("tools", tools)):
                for number in range(count):
                    children.add(f"{kind}.{number}", "worker", kind, APP)
            db = await Database.open(stack.postgres.url, size=6, wait=30)
            bus = await Bus.connect(stack.settings(), name="benchmark")
            try:
                await until(lambda: _joined(db, agents + tools), 60)
                pids = {**children.pids, "postgres": stack.postgres.pid, "nats": stack.nats.pid}
                yield Exchange(db, bus, pids["agents.0"], pids)
            finally:
                await bus.close()
                await db.close()


async def _joined(db: Database, wanted: int) -> bool:
    here = sum(one.kind in {"agents", "tools"} for one in await workers.list_workers(db))
    return here == wanted and bool(await current(db, TENANT, "agent"))
