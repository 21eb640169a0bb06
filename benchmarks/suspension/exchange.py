"""The exchange that is measured: embedded servers, a supervisor and one agent worker, each a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trunkline.bus.connection import Bus
from trunkline.embedded.children import Children
from trunkline.embedded.serving import servers
from trunkline.store import workers
from trunkline.store.database import Database
from trunkline.store.definitions import current

APP = str(Path(__file__).with_name("sleeping_app.py"))
TENANT = "default"
AGENTS = 2  # of the app


@dataclass
class Exchange:
    """``pid`` is the agent worker's."""

    db: Database
    bus: Bus
    pid: int

    async def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        async with self.db.connection() as connection:
            return await (await connection.execute(sql.encode(), parameters or None)).fetchall()

    async def one(self, sql: str, *parameters: object) -> Any:
        return (await self.rows(sql, *parameters))[0][0]

    def resident(self) -> int:
        """Bytes of the agent worker that are in memory."""
        return self._status("VmRSS")

    def peak(self) -> int:
        """The most bytes of it that ever were."""
        return self._status("VmHWM")

    def _status(self, name: str) -> int:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))


@asynccontextmanager
async def exchange(**settings: Any) -> AsyncIterator[Exchange]:
    """``settings`` are what the worker has otherwise than by default."""
    async with servers() as stack:
        environment = stack.environment(metrics_port=-1, log_level="error", **settings)
        async with Children(environment, print, patience=30.0) as children:
            children.add("supervisor", "supervisor")
            children.add("agents", "worker", "agents", APP)
            db = await Database.open(stack.postgres.url, size=6, wait=30)
            bus = await Bus.connect(stack.settings(), name="benchmark")
            try:
                await until(lambda: _joined(db), 60)
                yield Exchange(db, bus, children.pids["agents"])
            finally:
                await bus.close()
                await db.close()


async def _joined(db: Database) -> bool:
    here = any(one.kind == "agents" for one in await workers.list_workers(db))
    return here and len(await current(db, TENANT, "agent")) == AGENTS


async def until(check: Callable[[], Awaitable[bool]], limit: float, every: float = 0.2) -> None:
    """Other processes have no events of ours: look until it is so, for at most ``limit`` seconds."""
    async with asyncio.timeout(limit):
        while not await check():  # noqa: ASYNC110
            await asyncio.sleep(every)


def percentiles(values: list[float]) -> dict[str, float]:
    """Milliseconds of ``values``, which are seconds."""
    ranked = sorted(values)
    return {
        "p50_ms": round(1000 * ranked[len(ranked) // 2], 1),
        "p99_ms": round(1000 * ranked[int(0.99 * len(ranked))], 1),
        "slowest_ms": round(1000 * ranked[-1], 1),
    }
