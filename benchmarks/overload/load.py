"""The load, a process of its own: so many requests or events a second, whatever becomes of those before (open loop).

``python -m benchmarks.overload.load http|nats RATE SECONDS WHERE PHASE POSTGRES`` says what came of it as one line of
JSON. A rate of 0 is a closed loop instead: ``IN_FLIGHT`` runs are under way, a new one for each that ended.
An answer is timed from when the request was *due*, not from when it could be sent: a load that falls behind hides
nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import nats
import psycopg
import uvloop
from benchmarks.contenders.http_line import Lines
from benchmarks.floor import Line

IN_FLIGHT = 1000
CONNECTIONS = 4000  # that clients have at most; a request that finds none is told as ``unsent``
PATH = "/v1/agents/plain/runs"
TYPE = "load.offered"
SUBJECT = f"tl.default.event.{TYPE}"
TICK, LOOK_EVERY = 0.005, 0.05  # seconds
PATIENCE = 30.0  # seconds for the last answers
_TAKEN = {"202", "stored"}


@dataclass
class Heard:
    """Seconds from when a request was due to its answer, by status; ``runs`` are the ids of what was accepted."""

    answered: Counter[str] = field(default_factory=Counter)
    took: dict[str, list[float]] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    under_way: int = 0

    def hear(self, status: str, seconds: float) -> None:
        self.answered[status] += 1
        self.took.setdefault(status, []).append(seconds)


Send = Callable[[int, float, Heard], Coroutine[None, None, None]]


async def over_http(url: str, phase: str) -> Send:
    lines = Lines(url)

    async def send(number: int, due: float, heard: Heard) -> None:
        if heard.under_way >= CONNECTIONS:
            heard.answered["unsent"] += 1
            return
        heard.under_way += 1
        try:
            status, body = await lines.post(PATH, {"input": [phase, number]})
        except (OSError, asyncio.IncompleteReadError) as error:
            heard.hear(type(error).__name__, time.perf_counter() - due)
        else:
            heard.hear(str(status), time.perf_counter() - due)
            if status == 202:
                heard.runs.append(json.loads(body)["run_id"])
        finally:
            heard.under_way -= 1

    return send


async def over_nats(url: str, phase: str) -> Send:
    """An event counts as answered when JetStream has it; that it is accepted is seen in Postgres. As over HTTP, each
    is for an instance of its own: an instance that has been here before would have its past read.
    """
    line = Line(await nats.connect(url))
    await line.open()

    async def send(number: int, due: float, heard: Heard) -> None:
        event = {"specversion": "1.0", "id": f"{phase}-{number}", "source": "/load", "type": TYPE, "data": number}
        await line.publish(SUBJECT, json.dumps(event).encode(), lambda: heard.hear("stored", time.perf_counter() - due))

    return send


async def offer(send: Send, rate: float, seconds: float) -> Heard:
    """Open loop: at each tick, all that is due by now."""
    heard = Heard()
    sending: set[asyncio.Task[None]] = set()
    began, number = time.perf_counter(), 0
    while (now := time.perf_counter() - began) < seconds:
        while number < rate * now:
            task = asyncio.create_task(send(number, began + number / rate, heard))
            sending.add(task)
            task.add_done_callback(sending.discard)
            number += 1
        await asyncio.sleep(TICK)
    if sending:
        await asyncio.wait(sending, timeout=PATIENCE)
    return heard


async def saturate(send: Send, seconds: float, postgres: str) -> Heard:
    """Closed loop."""
    heard, sending = Heard(), set[asyncio.Task[None]]()
    until = time.perf_counter() + seconds
    ended = begun = 0
    connection = await psycopg.AsyncConnection[tuple[int]].connect(postgres, autocommit=True)
    row = await (await connection.execute("select clock_timestamp()::text")).fetchone()
    since = str(row[0]) if row else ""
    while (now := time.perf_counter()) < until:
        for _ in range(IN_FLIGHT - (begun - ended)):
            sending.add(asyncio.create_task(send(begun, now, heard)))
            begun += 1
        await asyncio.sleep(LOOK_EVERY)
        refused = sum(count for status, count in heard.answered.items() if status not in _TAKEN)
        ended = await _ended(connection, since) + refused
    await asyncio.wait(sending, timeout=PATIENCE)
    return heard


async def _ended(connection: psycopg.AsyncConnection[tuple[int]], since: str) -> int:
    row = await (await connection.execute("select count(*) from runs where ended_at > %s", [since])).fetchone()
    assert row is not None
    return row[0]


def told(heard: Heard) -> dict[str, Any]:
    def at(times: list[float], part: float) -> float:
        return round(1000 * sorted(times)[int(part * len(times))], 1)

    return {
        "answered": dict(heard.answered),
        "answer_ms": {name: {"p50": at(times, 0.5), "p99": at(times, 0.99)} for name, times in heard.took.items()},
        "unanswered": heard.under_way,
        "load_cpu_s": round(time.process_time(), 2),
        "runs": heard.runs,
    }


async def main() -> None:
    way, rate, seconds, where, phase, postgres = sys.argv[1:]
    send = await (over_http if way == "http" else over_nats)(where, phase)
    heard = await (
        offer(send, float(rate), float(seconds)) if float(rate) else saturate(send, float(seconds), postgres)
    )
    print(json.dumps(told(heard)), flush=True)
    os._exit(0)  # with thousands of connections open


if __name__ == "__main__":
    uvloop.run(main())
