"""The load of every contender: so many runs in flight, warmed up, then measured. Standard library alone.

A contender is a program: ``python -m benchmarks.contenders.<name> --workload … --in-flight …``. For each number of runs
in flight, from the lowest, it says two things on its standard output, a JSON object a line: ``{"begin": {"pids": …}}``
when it is warm and what is measured begins, and ``{"end": …}`` when that is over; the harness takes the processes' CPU
time at both. It ends when its standard input is closed, with all processes that it started.
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
COLD = 90.0  # seconds within which the very first run must have ended
HOPELESS = 10  # failures before that

Pids = Mapping[str, int]  # by role: agent, tool, server, load, …
Run = Callable[[int], Awaitable[object]]
Counted = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a round asks for. The numbers ``in_flight`` ascend; ``seconds``, ``warm_up`` and ``patience`` (with runs
    that take longer than the warm-up) are in seconds; the URLs are empty when not needed.
    """

    workload: str
    in_flight: list[int]
    seconds: float
    warm_up: float
    patience: float
    directory: str
    variant: str
    postgres: str
    nats: str
    model: str

    @property
    def most(self) -> int:
        """Runs in flight in the end."""
        return self.in_flight[-1]


@dataclass(slots=True)
class Lap:
    """What is measured since ``began``, and the steps there had been. Runs from before ``level``, which had fewer
    beside them, only end. Times are of ``time.perf_counter()``.
    """

    level: float
    began: float
    steps: int
    ended: int = 0
    latencies: list[float] = field(default_factory=list)  # seconds
    failures: list[str] = field(default_factory=list)


def asked() -> Asked:
    """What the command line asks for; from here on the process ends with whoever started it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workload", required=True)
    parser.add_argument("--in-flight", type=_numbers, required=True)
    for name in ("--seconds", "--warm-up", "--patience"):
        parser.add_argument(name, type=float, required=True)
    parser.add_argument("--directory", required=True)
    for name in ("--variant", "--postgres", "--nats", "--model"):
        parser.add_argument(name, default="")
    threading.Thread(target=_end_with_parent, daemon=True).start()
    return Asked(**vars(parser.parse_args()))


def _numbers(text: str) -> list[int]:
    return sorted(map(int, text.split(",")))


def versions(*distributions: str) -> dict[str, str]:
    return {name: version(name) for name in distributions}


async def drive(asked: Asked, run: Run, pids: Pids, about: Mapping[str, Any], *, count: Counted = counted) -> None:
    """Keep as many calls of ``run(number)`` under way as are asked for, level by level, and report each.

    ``count`` tells the steps so far.

    Raises:
        RuntimeError: the first run does not end, or fails again and again.
    """
    lanes = Lanes(run, asked, count)
    await lanes.first()
    for in_flight in asked.in_flight:
        lanes.begin(in_flight, pids)
        await asyncio.sleep(asked.warm_up)
        if lanes.lap.latencies:
            whole = await lanes.at_speed(pids)
        else:
            whole = await lanes.one_each()
        tell("end", **lanes.told(whole=whole), about=dict(about))
    signal.pause()  # no load any more: the harness looks at the processes, and ends them


class Lanes:
    """The runs in flight: each lane is one after the other. More of them join; none leaves."""

    def __init__(self, run: Run, asked: Asked, count: Counted) -> None:
        self._run, self._asked, self._count = run, asked, count
        self._under_way: list[asyncio.Task[None]] = []
        self.lap = self._lap()

    async def first(self) -> None:
        """The very first run, which finds everything cold.

        Raises:
            RuntimeError: it does not end.
        """
        self._add(1)
        await _until(lambda: self.lap.ended > 0 or len(self.lap.failures) > HOPELESS, COLD)
        if not self.lap.ended:
            raise RuntimeError(f"the first run did not end: {self.lap.failures[:1]}")

    def begin(self, in_flight: int, pids: Pids) -> None:
        """Bring it up to ``in_flight``, one by one within half of the warm-up."""
        self.lap = self._lap()
        tell("begin", pids=dict(pids))
        self._add(in_flight)

    async def at_speed(self, pids: Pids) -> bool:
        """Forget the warm-up, and measure; longer if too few runs end. Whether enough have."""
        self.lap = self._lap(self.lap.level)
        tell("begin", pids=dict(pids))
        await asyncio.sleep(self._asked.seconds)
        enough = max(ENOUGH, len(self._under_way))
        await _until(lambda: len(self.lap.latencies) >= enough, (LONGER - 1) * self._asked.seconds)
        return bool(self.lap.latencies)

    async def one_each(self) -> bool:
        """Runs take long. They may all be at the same step, so that less than the whole of them would tell nothing:
        count from the first begin until as many have ended as there are in flight. Whether they have.
        """
        await asyncio.sleep(max(0.0, self._asked.seconds - self._asked.warm_up))
        await _until(lambda: len(self.lap.latencies) >= len(self._under_way), self._asked.patience)
        return len(self.lap.latencies) >= len(self._under_way)

    def told(self, *, whole: bool) -> dict[str, Any]:
        """Steps, runs and seconds of this lap. Latencies would be of the quickest runs alone, were it not ``whole``."""
        lap, steps, seconds = self.lap, self._count() - self.lap.steps, time.perf_counter() - self.lap.began
        spread = _spread(lap.latencies if whole else [])
        failures = {"failures": len(lap.failures), "failure": "".join(lap.failures[:1])}
        return {"steps": _steps(self._asked, steps), "runs": lap.ended, "seconds": seconds, **spread, **failures}

    def _lap(self, level: float | None = None) -> Lap:
        now = time.perf_counter()
        return Lap(level or now, now, self._count())

    def _add(self, in_flight: int) -> None:
        before = len(self._under_way)
        for lane in range(before, in_flight):
            delay = self._asked.warm_up / 2 * (lane - before) / (in_flight - before)
            self._under_way.append(asyncio.create_task(self._lane(lane, delay)))

    async def _lane(self, lane: int, delay: float) -> None:
        await asyncio.sleep(delay)
        number = lane
        while True:
            began = time.perf_counter()
            try:
                await self._run(number)
            except Exception as error:  # noqa: BLE001 - whatever a peer raises: it is counted, and told
                self.lap.failures.append(f"{type(error).__name__}: {error}"[:300])
                await asyncio.sleep(0.1)
            else:
                self.lap.ended += 1
                if began >= self.lap.level:
                    self.lap.latencies.append(time.perf_counter() - began)
            number += self._asked.most


def tell(word: str, **said: Any) -> None:
    """One line to the harness."""
    print(json.dumps({word: said}), file=sys.__stdout__, flush=True)


async def _until(true: Callable[[], bool], within: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            while not true():  # noqa: ASYNC110 - looked at often enough
                await asyncio.sleep(0.05)


def _steps(asked: Asked, executed: int) -> float:
    """A run with a model has five steps, of which the two tools are seen."""
    return executed * 5 / 2 if asked.workload.startswith("turn") else executed


def _spread(latencies: list[float]) -> dict[str, float | None]:
    ordered = sorted(latencies)
    at = [ordered[int(part * len(ordered))] * 1000 if ordered else None for part in (0.5, 0.99)]
    return {"p50_ms": at[0], "p99_ms": at[1]}


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.killpg(0, signal.SIGKILL)
