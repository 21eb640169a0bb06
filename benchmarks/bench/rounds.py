"""One round of one contender: fresh servers, its program, and what that tells and costs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.bench import cpu
from benchmarks.bench.contenders import LATENCY, ROOT, Contender
from benchmarks.bench.model_server import model_server
from benchmarks.bench.servers import Servers, fresh
from benchmarks.contenders.counting import COUNTED_IN

LONGEST = 240.0  # seconds of a round beyond what was asked for


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured; times in seconds."""

    workload: str
    in_flight: int
    seconds: float
    warm_up: float


@dataclass(frozen=True, slots=True)
class Round:
    """``cpu`` is in seconds a thousand steps, by role. ``failed`` says why there is nothing else."""

    steps_per_s: float = 0.0
    runs_per_s: float = 0.0
    p50_ms: float | None = None
    p99_ms: float | None = None
    failures: int = 0
    cpu: dict[str, float] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    failed: str = ""


async def play(contender: Contender, plan: Plan) -> Round:
    """One round. What goes wrong in it is told in ``Round.failed``."""
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(fresh(contender.servers))
        model = ""
        if plan.workload in LATENCY:
            model, pid = await stack.enter_async_context(model_server(LATENCY[plan.workload]))
            servers = replace(servers, pids=(*servers.pids, ("model", pid)))
        try:
            async with asyncio.timeout(LONGEST + plan.seconds + plan.warm_up):
                return await _played(contender, plan, servers, model)
        except (TimeoutError, _Broken) as error:
            return Round(failed=f"{error or 'it took too long'} {_last_words(servers.directory)}")


class _Broken(Exception):
    """The program ended before its time."""


async def _played(contender: Contender, plan: Plan, servers: Servers, model: str) -> Round:
    counts = servers.directory / "counts"
    counts.mkdir()
    with (servers.directory / "contender.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *_command(contender, plan, servers, model),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            cwd=ROOT,
            env={**os.environ, COUNTED_IN: str(counts)},
            start_new_session=True,
        )
    try:
        begun = await _told(process, "begin")
        pids = {**begun["pids"], **dict(servers.pids)}
        before = cpu.seconds(pids)
        ended = await _told(process, "end")
        after = cpu.seconds(pids)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    about = ended["about"]
    if servers.postgres_version:
        about["versions"]["postgres"] = servers.postgres_version
    return _round(ended, {role: after[role] - before.get(role, 0.0) for role in after})


def _command(contender: Contender, plan: Plan, servers: Servers, model: str) -> list[str]:
    given = {
        "workload": plan.workload,
        "in-flight": plan.in_flight,
        "seconds": plan.seconds,
        "warm-up": plan.warm_up,
        "directory": servers.directory,
        "variant": contender.variant,
        "postgres": servers.postgres,
        "nats": servers.nats,
        "model": model,
    }
    options = [f"--{name}={value}" for name, value in given.items()]
    return [contender.python, "-m", f"benchmarks.contenders.{contender.program}", *options]


async def _told(process: asyncio.subprocess.Process, word: str) -> dict[str, Any]:
    """What it says next; other lines, which a peer may print, are passed over."""
    assert process.stdout is not None
    while line := await process.stdout.readline():
        with suppress(ValueError, TypeError):
            said = json.loads(line)
            if word in said:
                return dict(said[word])
    raise _Broken(f"it ended before its {word!r} (exit status {await process.wait()}).")


def _round(ended: Mapping[str, Any], spent: Mapping[str, float]) -> Round:
    steps, seconds = ended["steps"], ended["seconds"]
    return Round(
        steps_per_s=steps / seconds,
        runs_per_s=ended["runs"] / seconds,
        p50_ms=ended["p50_ms"],
        p99_ms=ended["p99_ms"],
        failures=ended["failures"],
        cpu={role: 1000 * one / steps for role, one in spent.items()} if steps else {},
        about=ended["about"],
    )


def _last_words(directory: Path) -> str:
    """The ends of its logs."""
    logs = sorted(directory.glob("*.log"))
    return " / ".join(f"{log.stem}: {log.read_text(errors='replace').strip()[-400:]}" for log in logs)
