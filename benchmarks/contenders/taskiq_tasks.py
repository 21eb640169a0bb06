"""taskiq on NATS JetStream, which is not durable: what a plain task queue does, as a floor of another kind.

A step is a task that asks for the next; the tenth tells the load. That is one hop a step, where an agent that calls a
tool has two, and nothing is kept of a step but its message: no result, no state, nothing to go on from.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import nats
import uvloop
from nats.aio.msg import Msg
from taskiq_nats import PullBasedJetStreamBroker

from benchmarks.contenders.counting import counter
from benchmarks.contenders.load import STEPS, Asked, asked, drive, versions

URL = "BENCH_NATS_URL"
BATCH = 100  # messages a pull
SETTINGS = (
    f"not durable: no results, no state; pull broker, {BATCH} messages a pull, one worker process; "
    "each task asks for the next (one hop a step)"
)
broker = PullBasedJetStreamBroker(os.environ.get(URL, ""), pull_consume_batch=BATCH, pull_consume_timeout=0.2)


@broker.task("step")
async def step(number: int, left: int, done: str) -> None:
    counter()()
    if left > 1:
        await step.kiq(number, left - 1, done)
    else:
        await broker.client.publish(done, b"%d" % number)


async def main(asked: Asked) -> None:
    broker.servers = [asked.nats]
    await broker.startup()
    log = (Path(asked.directory) / "tools.log").open("wb")
    options = ["--workers", "1", "--max-async-tasks", "1000", "--log-level", "ERROR", "--ack-type", "when_executed"]
    command = [sys.executable, "-m", "taskiq", "worker", "benchmarks.contenders.taskiq_tasks:broker", *options]
    environment = {**os.environ, URL: asked.nats}
    worker = await asyncio.to_thread(subprocess.Popen, command, env=environment, stdout=log, stderr=log)
    client = await nats.connect(asked.nats)
    inbox = client.new_inbox()
    waiting: dict[int, asyncio.Future[None]] = {}

    async def done(message: Msg) -> None:
        waiting.pop(int(message.data)).set_result(None)

    await client.subscribe(inbox, cb=done)

    async def run(number: int) -> None:
        waiting[number] = asyncio.get_running_loop().create_future()
        await step.kiq(number, STEPS, inbox)
        await waiting[number]

    about = {"settings": SETTINGS, "versions": versions("taskiq", "taskiq-nats", "nats-py")}
    await drive(asked, run, {"load": os.getpid(), "tools": worker.pid}, about)


if __name__ == "__main__":
    uvloop.run(main(asked()))
