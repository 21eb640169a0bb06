"""The exchange that is overrun: embedded servers, and one process each of gateway, agent worker and supervisor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import Any

from trunkline.embedded.children import Children
from trunkline.embedded.parts import gateway_answers
from trunkline.embedded.serving import servers
from trunkline.store.database import Database
from trunkline.store.definitions import current

APP = str(Path(__file__).with_name("overload_app.py"))


@dataclass(frozen=True)
class Exchange:
    """``children`` are our processes."""

    db: Database
    nats: str
    postgres: str
    gateway: str
    children: Children
    servers: Mapping[str, int]  # their process ids

    async def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        async with self.db.connection() as connection:
            return await (await connection.execute(sql.encode(), parameters or None)).fetchall()

    async def one(self, sql: str, *parameters: object) -> Any:
        return (await self.rows(sql, *parameters))[0][0]

    def resident(self) -> dict[str, int]:
        """Bytes in memory of each process; of Postgres those of all its processes, what they share counted once."""
        pids = {**self.children.pids, **self.servers}
        found = {name: _proportional(pid) if name == "postgres" else _resident(pid) for name, pid in pids.items()}
        return {name: size for name, size in found.items() if size}  # one that has just ended has none


@asynccontextmanager
async def exchange(**settings: Any) -> AsyncIterator[Exchange]:
    """``settings`` are what is otherwise than by default."""
    port = _free_port()
    async with servers() as stack:
        environment = stack.environment(metrics_port=-1, log_level="error", port=port, **settings)
        async with Children(environment, print, patience=30.0) as children:
            children.add("supervisor", "supervisor")
            children.add("agents", "worker", "agents", APP)
            children.add("gateway", "gateway")
            db = await Database.open(stack.postgres.url, size=2, wait=30)
            try:
                url = f"http://127.0.0.1:{port}"
                await until(lambda: _ready(db, url), 60)
                pids = {"nats-server": stack.nats.pid, "postgres": stack.postgres.pid}
                yield Exchange(db, stack.nats.url, stack.postgres.url, url, children, pids)
            finally:
                await db.close()


async def until(check: Callable[[], Awaitable[bool]], limit: float, every: float = 0.2) -> None:
    """Other processes have no events of ours: look until it is so, for at most ``limit`` seconds."""
    async with asyncio.timeout(limit):
        while not await check():  # noqa: ASYNC110
            await asyncio.sleep(every)


async def _ready(db: Database, url: str) -> bool:
    return bool(await current(db, "default", "agent")) and await gateway_answers(url)


def _resident(pid: int) -> int:
    return _said(pid, "status", "VmRSS:")


def _proportional(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(_said(one, "smaps_rollup", "Pss:") for one in (str(pid), *children))


def _said(pid: int | str, file: str, name: str) -> int:
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
    return 0


def _free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
