"""The load of every contender: so many runs in flight, warmed up, then measured. Standard library alone.

A contender is a program: ``python -m benchmarks.contenders.<name> --workload … --in-flight …``. It says two things on
its standard output, a JSON object a line: ``{"begin": {"pids": …}}`` when it is warm and what is measured begins, and
``{"end": …}`` when that is over; the harness takes the processes' CPU time at both. It ends when its standard input is
closed, with all processes that it started.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from benchmarks.contenders.counting import counted

STEPS = 10  # a run
ENOUGH = 20  # runs that should end inside of what is measured; or as many as there are in flight, if they are more
LONGER = 4  # times the seconds asked for, at most, until that many have
COLD = 120.0  # seconds within which the first run must have ended
HOPELESS = 100  # failures before that

Pids = Mapping[str, int]  # by role: agent, tool, server, load, …
Run = Callable[[int], Awaitable[object]]
Counted = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a round asks for. ``seconds`` and ``warm_up`` are in seconds; the URLs are empty when not needed."""

    workload: str
    in_flight: int
    seconds: float
    warm_up: float
    directory: str
    variant: str
    postgres: str
    nats: str
    model: str


@dataclass(slots=True)
class Lap:
    """Runs that ended since it began."""

    latencies: list[float] = field(default_factory=list)  # seconds
    failures: list[str] = field(default_factory=list)


def asked() -> Asked:
    """What the command line asks for; from here on the process ends with whoever started it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workload", required=True)
    parser.add_argument("--in-flight", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--warm-up", type=float, required=True)
    parser.add_argument("--directory", required=True)
    for name in ("--variant", "--postgres", "--nats", "--model"):
        parser.add_argument(name, default="")
    threading.Thread(target=_end_with_parent, daemon=True).start()
    return Asked(**vars(parser.parse_args()))


def versions(*distributions: str) -> dict[str, str]:
    return {name: version(name) for name in distributions}


async def drive(asked: Asked, run: Run, pids: Pids, about: Mapping[str, Any], *, count: Counted = counted) -> None:
    """Keep ``asked.in_flight`` calls of ``run(number)`` under way and report. ``count`` tells the steps so far.

    Raises:
        RuntimeError: runs fail, or none ends.
    """
    lap = Lap()
    under_way = [asyncio.create_task(_lane(run, lane, asked, lambda: lap)) for lane in range(asked.in_flight)]
    await asyncio.sleep(asked.warm_up)
    await _until(lambda: bool(lap.latencies) or len(lap.failures) > HOPELESS, COLD)
    if not lap.latencies:
        raise RuntimeError(f"no run ended while it warmed up: {lap.failures[:1]}")
    lap = Lap()
    tell("begin", pids=dict(pids))
    began, before = time.perf_counter(), count()
    await asyncio.sleep(asked.seconds)
    await _until(lambda: len(lap.latencies) >= max(ENOUGH, asked.in_flight), (LONGER - 1) * asked.seconds)
    done, after, seconds = lap, count(), time.perf_counter() - began
    steps = _steps(asked, after - before)
    tell("end", steps=steps, runs=len(done.latencies), seconds=seconds, **_spread(done), about=dict(about))
    assert under_way
    signal.pause()  # the harness looks at the processes, and ends them by closing our standard input


def tell(word: str, **said: Any) -> None:
    """One line to the harness."""
    print(json.dumps({word: said}), file=sys.__stdout__, flush=True)


async def _lane(run: Run, lane: int, asked: Asked, lap: Callable[[], Lap]) -> None:
    """One run after the other. The lanes begin one by one, within half of the warm-up."""
    await asyncio.sleep(asked.warm_up / 2 * lane / asked.in_flight)
    number = lane
    while True:
        began = time.perf_counter()
        try:
            await run(number)
        except Exception as error:  # noqa: BLE001 - whatever a peer raises: it is counted, and told
            lap().failures.append(f"{type(error).__name__}: {error}"[:300])
            await asyncio.sleep(0.1)
        else:
            lap().latencies.append(time.perf_counter() - began)
        number += asked.in_flight


async def _until(true: Callable[[], bool], within: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            while not true():  # noqa: ASYNC110 - looked at often enough
                await asyncio.sleep(0.05)


def _steps(asked: Asked, executed: int) -> float:
    """A run with a model has five steps, of which the two tools are seen."""
    return executed * 5 / 2 if asked.workload.startswith("turn") else executed


def _spread(lap: Lap) -> dict[str, Any]:
    ordered = sorted(lap.latencies)
    at = [ordered[int(part * len(ordered))] * 1000 if ordered else None for part in (0.5, 0.99)]
    return {"p50_ms": at[0], "p99_ms": at[1], "failures": len(lap.failures), "failure": "".join(lap.failures[:1])}


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.killpg(0, signal.SIGKILL)
