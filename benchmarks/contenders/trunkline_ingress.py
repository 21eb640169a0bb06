"""How fast Trunkline accepts: events from NATS until the run's row is committed, or HTTP requests until their 202.

A *step* is one accepted run here. The agent is paused, so that what is accepted waits, and accepting alone is measured;
in the variant ``nats-running`` the same worker also carries out the runs (which have no steps).
"""

from __future__ import annotations

import asyncio
import json
import socket

import nats
import psycopg
import uvloop

from benchmarks.contenders.http_line import Lines
from benchmarks.contenders.load import Asked, Run, asked, drive, versions
from benchmarks.contenders.trunkline_parts import VERSIONS, settings_of, start
from benchmarks.floor import Line
from trunkline.client.client import Client

LOOK_EVERY = 0.005  # seconds; how exactly the time until acceptance is known
LATE = 8192  # rows that may be committed after rows with higher numbers
_ACCEPTED = "select seq, key from mailbox where seq > %s"
_RUNS = "select count(*) from runs"


class Acceptance:
    """Tells when the mailbox holds an event, by its id, which is the key of the instance that it is for."""

    def __init__(self, connection: psycopg.AsyncConnection[tuple[int, str]]) -> None:
        self._connection = connection
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._task = asyncio.create_task(self._watch())

    def of(self, event: str) -> asyncio.Future[None]:
        self._waiting[event] = asyncio.get_running_loop().create_future()
        return self._waiting[event]

    async def _watch(self) -> None:
        newest = 0
        while True:
            for seq, key in await (await self._connection.execute(_ACCEPTED, (max(0, newest - LATE),))).fetchall():
                newest = max(newest, seq)
                if waiting := self._waiting.pop(key, None):
                    waiting.set_result(None)
            await asyncio.sleep(LOOK_EVERY)


async def events(asked: Asked) -> Run:
    """Publish an event, and wait until it is accepted."""
    connection = await psycopg.AsyncConnection[tuple[int, str]].connect(asked.postgres, autocommit=True)
    acceptance = Acceptance(connection)
    line = Line(await nats.connect(asked.nats))
    await line.open()

    async def run(number: int) -> None:
        event = {"specversion": "1.0", "id": str(number), "source": "/bench", "type": "bench.happened", "data": number}
        accepted = acceptance.of(str(number))
        await line.publish("tl.default.event.bench.happened", json.dumps(event).encode(), lambda: None)
        await accepted

    return run


def requests(port: int) -> Run:
    """Ask for a run over HTTP, until the answer says that it is accepted."""
    gateway = Lines(f"http://127.0.0.1:{port}")

    async def run(number: int) -> None:
        status, body = await gateway.post("/v1/agents/ingress/runs", {"input": number})
        if status != 202:
            raise RuntimeError(f"{status}: {body[:200]!r}")

    return run


def settings(variant: str) -> str:
    also = "which also carries the runs out" if variant == "nats-running" else "whose agent is paused"
    way = "one gateway" if variant == "http" else "the router in the agent worker"
    return f"default settings; {way}, and one agent worker, {also}; a step is one accepted run"


async def main(asked: Asked) -> None:
    port = _free_port() if asked.variant == "http" else 0
    pids = await start(asked, ("agents",), gateway=port)
    async with await Client.direct(settings=settings_of(asked)) as client:
        if asked.variant != "nats-running":
            await client.pause("ingress", reason="accepting alone is measured")
    run = requests(port) if port else await events(asked)
    with psycopg.connect(asked.postgres, autocommit=True) as connection:

        def accepted() -> int:
            row = connection.execute(_RUNS).fetchone()
            return int(row[0]) if row else 0

        about = {"settings": settings(asked.variant), "versions": versions(*VERSIONS)}
        await drive(asked, run, pids, about, count=accepted)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    uvloop.run(main(asked()))
