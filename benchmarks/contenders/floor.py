"""The floor as a contender: its agent process is also the load, and its steps do nothing else than go through it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import nats
import uvloop
from nats.aio.msg import Msg

from benchmarks.contenders.counting import counter
from benchmarks.contenders.load import STEPS, Asked, Run, asked, drive, versions
from benchmarks.floor import Journal, Line

SETTINGS = "a bare core loop: group commit with fence and head update, raw JetStream round trip, no other features"


def local(journal: Journal, in_flight: int) -> Run:
    """A run: each step is an entry, committed before the next begins."""
    heads = [0] * in_flight

    async def run(number: int) -> None:
        lane = number % in_flight
        for _ in range(STEPS):
            counter()()
            heads[lane] = await journal.append(lane, heads[lane], ("StepCompleted", f'{{"result":{number}}}'))

    return run


class Remote:
    """A run whose steps go to the tool process; *completed* of one and *scheduled* of the next share a commit."""

    def __init__(self, journal: Journal, line: Line, in_flight: int) -> None:
        self._journal, self._line, self._in_flight = journal, line, in_flight
        self._heads = [0] * in_flight
        self._waiting: dict[int, asyncio.Future[Msg]] = {}

    async def run(self, number: int) -> None:
        lane = number % self._in_flight
        scheduled = ("StepScheduled", f'{{"tool":"work","arguments":[{number}]}}')
        entries: tuple[tuple[str, str], ...] = (scheduled,)
        last = None
        for step in range(STEPS + 1):
            self._heads[lane] = await self._journal.append(lane, self._heads[lane], *entries)
            if last is not None:
                await self._line.client.publish(last.reply, b"+ACK")
            if step < STEPS:
                last = await self._call(lane, number)
                completed = ("StepCompleted", last.data.decode())
                entries = (completed, scheduled) if step < STEPS - 1 else (completed,)

    def answered(self, message: Msg) -> None:
        self._waiting.pop(int(message.subject.rpartition(".")[2])).set_result(message)

    async def _call(self, lane: int, number: int) -> Msg:
        answer: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._waiting[lane] = answer
        await self._line.publish(f"work.{lane}", b'{"arguments":[%d]}' % number, lambda: None)
        return await answer


async def line_to(url: str) -> Line:
    """An open line; both streams are there."""
    client = await nats.connect(url, pending_size=64 * 1024 * 1024)
    for stream in ("work", "reply"):
        await client.jetstream().add_stream(name=stream, subjects=[f"{stream}.*"], retention="workqueue")
    line = Line(client)
    await line.open()
    return line


async def main(asked: Asked) -> None:
    journal = await Journal.open(asked.postgres, asked.most)
    pids = {"agents": os.getpid()}
    run = local(journal, asked.most)
    if asked.workload == "remote":
        log = (Path(asked.directory) / "tools.log").open("wb")
        command = [sys.executable, "-m", "benchmarks.contenders.floor_tool", asked.nats]
        pids["tools"] = (await asyncio.to_thread(subprocess.Popen, command, stdout=log, stderr=log)).pid
        line = await line_to(asked.nats)
        remote = Remote(journal, line, asked.most)
        await line.read("reply", remote.answered)
        run = remote.run
    await drive(asked, run, pids, {"settings": SETTINGS, "versions": versions("nats-py", "psycopg", "uvloop")})


if __name__ == "__main__":
    uvloop.run(main(asked()))
