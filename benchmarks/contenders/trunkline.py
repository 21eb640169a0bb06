"""Trunkline: one agent worker, one tool worker where there are tools, and the supervisor, each its own process.

The load is this process: a direct client, as one in a web server would be. Its CPU time is told apart.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import uvloop
from pydantic import SecretStr

from benchmarks.contenders.load import Asked, asked, drive, versions
from trunkline.client.client import Client
from trunkline.settings import Settings
from trunkline.store import migrate, workers
from trunkline.store.database import Database

APP = f"{Path(__file__).with_name('trunkline_app.py')}"
PARTS = {
    "local": ("agents",),
    "remote": ("agents", "tools"),
    "turn": ("agents", "tools", "llm"),
    "turn-500ms": ("agents", "tools", "llm"),
}
JOIN_WITHIN = 30.0  # seconds
SETTINGS = (
    "default settings; the load is a direct client in a process of its own, and hears of a run's end over NATS; "
    "of each step the journal holds its arguments' digest and its result"
)


def start(asked: Asked) -> dict[str, int]:
    """The processes' ids by role."""
    given = {
        "TRUNKLINE_DATABASE_URL": asked.postgres,
        "TRUNKLINE_NATS_URL": asked.nats,
        "TRUNKLINE_LOG_LEVEL": "error",
        "TRUNKLINE_MODEL_API_BASE": asked.model or "http://127.0.0.1:9/v1",
        "OPENAI_API_KEY": "none",
    }
    wanted = {"supervisor": ("supervisor",)} | {kind: ("worker", kind, APP) for kind in PARTS[asked.workload]}
    pids = {"load": os.getpid()}
    for role, arguments in wanted.items():
        log = (Path(asked.directory) / f"{role}.log").open("wb")
        command = [sys.executable, "-m", "trunkline.cli.main", *arguments]
        process = subprocess.Popen(command, env={**os.environ, **given}, stdout=log, stderr=log)
        pids[role] = process.pid
    return pids


async def joined(db: Database, asked: Asked) -> None:
    """Wait for every worker.

    Raises:
        TimeoutError: one did not come.
    """
    async with asyncio.timeout(JOIN_WITHIN):
        while len(await workers.list_workers(db)) < len(PARTS[asked.workload]):  # noqa: ASYNC110 - rows of others
            await asyncio.sleep(0.05)


async def main(asked: Asked) -> None:
    settings = Settings(nats_url=asked.nats, database_url=SecretStr(asked.postgres))
    await asyncio.to_thread(migrate.upgrade, asked.postgres, settings.database_schema)
    pids = await asyncio.to_thread(start, asked)
    db = await Database.open(asked.postgres, size=1)
    await joined(db, asked)
    await db.close()
    agent = "turn" if asked.workload.startswith("turn") else asked.workload
    async with await Client.direct(settings=settings) as client:

        async def one(number: int) -> None:
            run = await client.start(agent, "Where is it?" if agent == "turn" else number)
            await run.result(timeout=600)

        about = {"settings": SETTINGS, "versions": versions("trunkline", "nats-py", "psycopg", "uvloop")}
        await drive(asked, one, pids, about)


if __name__ == "__main__":
    uvloop.run(main(asked()))
