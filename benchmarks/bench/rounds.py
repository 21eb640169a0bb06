"""One round of one contender: fresh servers, its program, and what that tells and costs at each number in flight."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.bench import cpu
from benchmarks.bench.contenders import LATENCY, ROOT, Contender
from benchmarks.bench.model_server import model_server
from benchmarks.bench.servers import Servers, fresh
from benchmarks.contenders.counting import COUNTED_IN

START = 180.0  # seconds that a contender may take until its load begins
LONGEST = 120.0  # seconds more than was asked for, at each number of runs in flight
_ENDED_WITHIN = 5.0  # seconds from SIGKILL


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured: with ever more runs ``in_flight``. Times are in seconds; ``patience`` is with runs that take
    longer than the warm-up, until each lane has ended one.
    """

    workload: str
    in_flight: tuple[int, ...]
    seconds: float
    warm_up: float
    patience: float = 30.0

    @property
    def longest(self) -> float:
        return START + len(self.in_flight) * (LONGEST + self.patience + self.warm_up + self.seconds)


@dataclass(frozen=True, slots=True)
class Round:
    """``cpu`` is in seconds a thousand steps, by role; ``elsewhere`` is how many cores others kept busy meanwhile.
    ``failures`` are runs, and ``failure`` what the first of them said; ``failed`` is why the round has nothing else.
    """

    steps_per_s: float = 0.0
    runs_per_s: float = 0.0
    p50_ms: float | None = None
    p99_ms: float | None = None
    failures: int = 0
    failure: str = ""
    seconds: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    elsewhere: float | None = None
    about: dict[str, Any] = field(default_factory=dict)
    failed: str = ""


Rounds = dict[int, Round]  # by how many runs were in flight


async def play(contender: Contender, plan: Plan) -> Rounds:
    """One round. What goes wrong in it is told in ``Round.failed``; what was measured before stays."""
    done: Rounds = {}
    failed = ""
    try:
        async with fresh(contender.servers) as servers, _model(plan.workload) as (url, pids):
            await _played(contender, plan, replace(servers, pids=servers.pids + pids), url, done)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong with one, the others go on
        failed = str(error) or type(error).__name__
    return {one: done.get(one) or Round(failed=failed) for one in plan.in_flight}


@asynccontextmanager
async def _model(workload: str) -> AsyncIterator[tuple[str, tuple[tuple[str, int], ...]]]:
    """URL and process of a model server; empty for what needs none."""
    if workload not in LATENCY:
        yield "", ()
        return
    async with model_server(LATENCY[workload]) as (url, pid):
        yield url, (("model", pid),)


async def _played(contender: Contender, plan: Plan, servers: Servers, model: str, done: Rounds) -> None:
    try:
        async with asyncio.timeout(plan.longest):
            await _play(contender, plan, servers, model, done)
    except (TimeoutError, _Broken) as error:
        raise _Broken(f"{error or 'it took too long.'} {_last_words(servers.directory)}") from error


class _Broken(Exception):
    """The program ended before its time."""


async def _play(contender: Contender, plan: Plan, servers: Servers, model: str, done: Rounds) -> None:
    """The contender's program, from its start to its end; each level is put into ``done``."""
    counts, scratch = servers.directory / "counts", servers.directory / "scratch"
    counts.mkdir()
    scratch.mkdir()
    with (servers.directory / "contender.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *_command(contender, plan, servers, model),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            cwd=ROOT,
            env={**os.environ, COUNTED_IN: str(counts), "TMPDIR": str(scratch)},  # a peer that is killed leaves files
            start_new_session=True,
        )
    try:
        for in_flight in plan.in_flight:
            done[in_flight] = await _level(process, servers)
    finally:
        await _end(process)


async def _level(process: asyncio.subprocess.Process, servers: Servers) -> Round:
    """What is between the last ``begin`` (the warm-up has one of its own) and the ``end``."""
    said = await _said(process, "begin")
    while "begin" in said:
        pids = {**said["begin"]["pids"], **dict(servers.pids)}
        before, busy = cpu.seconds(pids), cpu.busy()
        said = await _said(process, "begin", "end")
    after, busy_after = cpu.seconds(pids), cpu.busy()
    ended = said["end"]
    if servers.postgres_version:
        ended["about"]["versions"]["postgres"] = servers.postgres_version
    if servers.nats_version:
        ended["about"]["versions"]["nats-server"] = servers.nats_version
    spent = {role: after[role] - before.get(role, 0.0) for role in after}
    elsewhere = (busy_after - busy - sum(spent.values())) / ended["seconds"] if spent else None
    return _round(ended, spent, elsewhere)


async def _end(process: asyncio.subprocess.Process) -> None:
    """SIGKILL to the program and all that it started, until they are gone: their files are removed next."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    with suppress(TimeoutError):
        async with asyncio.timeout(_ENDED_WITHIN):
            while cpu.alive(process.pid):  # noqa: ASYNC110 - its grandchildren are nobody's to wait for
                await asyncio.sleep(0.02)


def _command(contender: Contender, plan: Plan, servers: Servers, model: str) -> list[str]:
    given = {
        "workload": plan.workload,
        "in-flight": ",".join(map(str, plan.in_flight)),
        "seconds": plan.seconds,
        "warm-up": plan.warm_up,
        "patience": plan.patience,
        "directory": servers.directory,
        "variant": contender.variant,
        "postgres": servers.postgres,
        "nats": servers.nats,
        "model": model,
    }
    options = [f"--{name}={value}" for name, value in given.items()]
    return [contender.python, "-m", f"benchmarks.contenders.{contender.program}", *options]


async def _said(process: asyncio.subprocess.Process, *words: str) -> dict[str, Any]:
    """What it says next that has one of these words; other lines, which a peer may print, are passed over."""
    assert process.stdout is not None
    while line := await process.stdout.readline():
        with suppress(ValueError, TypeError):
            said = json.loads(line)
            if any(word in said for word in words):
                return dict(said)
    raise _Broken(f"it ended before its {words[-1]!r} (exit status {await process.wait()}).")


def _round(ended: Mapping[str, Any], spent: Mapping[str, float], elsewhere: float | None) -> Round:
    steps, seconds = ended["steps"], ended["seconds"]
    return Round(
        steps_per_s=steps / seconds,
        runs_per_s=ended["runs"] / seconds,
        p50_ms=ended["p50_ms"],
        p99_ms=ended["p99_ms"],
        failures=ended["failures"],
        failure=ended["failure"],
        seconds=seconds,
        elsewhere=elsewhere,
        cpu={role: 1000 * one / steps for role, one in spent.items()} if steps else {},
        about=ended["about"],
    )


def _last_words(directory: Path) -> str:
    """The ends of its logs."""
    logs = sorted(directory.glob("*.log"))
    return " / ".join(f"{log.stem}: {log.read_text(errors='replace').strip()[-400:]}" for log in logs)
