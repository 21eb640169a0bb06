"""DBOS: workflows of async steps, in one process, which starts them itself (DBOS's way; so the load is inside of it).

*remote*: each step is a child workflow that is enqueued for another process, which listens to that queue alone. The
variant ``tuned`` has few executor threads (by default there are as many as are asked for, and many runs in flight crowd
them), and polls more often. What it is tuned to was the best of what was tried; see benchmarks/README.md.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import uvloop
from dbos import DBOS, DBOSConfig

from benchmarks.contenders.counting import counter
from benchmarks.contenders.load import STEPS, Asked, Run, asked, drive, versions

QUEUE = "tools"
POLLS = {"": 1.0, "tuned": 0.1}  # seconds between two looks into the queue and at a result
THREADS = {"local": "2", "remote": "8"}  # where it is tuned
VERSION = "1"  # both processes run the same code, and DBOS is told so


def configured(postgres: str, threads: str) -> DBOSConfig:
    config: dict[str, Any] = {
        "name": "bench",
        "system_database_url": postgres,
        "log_level": "ERROR",
        "run_admin_server": False,
        "application_version": VERSION,
    }
    if threads:
        config["max_executor_threads"] = int(threads)
    return DBOSConfig(**config)


@DBOS.step()
async def noop(number: int) -> int:
    counter()()
    return number


@DBOS.workflow()
async def local(number: int, _poll: float) -> int:
    for _ in range(STEPS):
        await noop(number)
    return number


@DBOS.workflow()
async def work(number: int) -> int:
    counter()()
    return number


@DBOS.workflow()
async def remote(number: int, poll: float) -> int:
    for _ in range(STEPS):
        handle = await DBOS.enqueue_workflow_async(QUEUE, work, number)
        await handle.get_result(polling_interval_sec=poll)
    return number


def run_of(workflow: Any, poll: float) -> Run:
    async def run(number: int) -> None:
        handle = await DBOS.start_workflow_async(workflow, number, poll)
        await handle.get_result()

    return run


def threads_of(asked: Asked) -> str:
    return THREADS[asked.workload] if asked.variant else ""


def settings(asked: Asked) -> str:
    threads = f"max_executor_threads={threads_of(asked)}" if asked.variant else "default executor threads"
    remote = (
        f"; steps are child workflows on a queue polled every {POLLS[asked.variant]} s, as are results"
        if asked.workload == "remote"
        else ""
    )
    return f"async steps, {threads}{remote}; workflows are started in the process that runs them, uvloop"


async def main(asked: Asked) -> None:
    DBOS(config=configured(asked.postgres, threads_of(asked)))
    pids = {"agents": os.getpid()}
    if asked.workload == "remote":
        DBOS.listen_queues([])
    DBOS.launch()
    if asked.workload == "remote":
        await DBOS.register_queue_async(QUEUE, polling_interval_sec=POLLS[asked.variant])
        log = (Path(asked.directory) / "tools.log").open("wb")
        command = [sys.executable, "-m", "benchmarks.contenders.dbos_tools", asked.postgres, threads_of(asked)]
        pids["tools"] = (await asyncio.to_thread(subprocess.Popen, command, stdout=log, stderr=log)).pid
    about = {"settings": settings(asked), "versions": versions("dbos", "sqlalchemy", "psycopg", "uvloop")}
    workflow = remote if asked.workload == "remote" else local
    await drive(asked, run_of(workflow, POLLS[asked.variant]), pids, about)


if __name__ == "__main__":
    uvloop.run(main(asked()))
