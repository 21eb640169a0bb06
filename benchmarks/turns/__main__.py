"""Many conversations at once, three turns of a model and two tools each: ``make turns``.

All are accepted together; told is the time from the first acceptance to the last end, by Postgres's clock, beside the
ideal (three answers), and each process's CPU time a model call. Rows differ in the number of LLM worker processes, and
in whether these call through litellm or through a stand-in for it (``stand_in.py``): that is the platform's own share.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import uvloop
from pydantic import SecretStr

from benchmarks.bench import cpu, report
from benchmarks.bench.contenders import ROOT
from benchmarks.bench.model_server import LOOK_UPS, model_server
from benchmarks.bench.servers import Servers, fresh
from benchmarks.turns.stand_in import LATENCY
from trunkline.access.entrance import Entrance
from trunkline.access.letters import request
from trunkline.bus.connection import Bus
from trunkline.settings import Settings
from trunkline.store import migrate, workers
from trunkline.store.database import Database

APP = str(Path(__file__).with_name("turns_app.py"))
RESULT = Path(__file__).parents[1] / "results" / "turns.json"
TURNS = LOOK_UPS + 1
AT_ONCE = 500  # starts in a transaction
LONGEST = 300.0  # seconds

_TOOK = """
select extract(epoch from max(ended_at) - min(created_at))::float8,
       count(*) filter (where status = 'completed'),
       percentile_cont(array[0.5, 0.99]) within group (order by extract(epoch from ended_at - created_at)::float8),
       count(*)
from runs where created_at > to_timestamp(%s) having count(ended_at) = count(*)
"""


@dataclass(frozen=True)
class Row:
    """Times in seconds. ``cpu_ms`` is CPU time a model call, by process."""

    conversations: int
    answer_s: float
    llm_workers: int
    through: str
    ideal_s: float
    took_s: float
    p50_s: float
    p99_s: float
    calls_per_s: float
    cpu_ms: dict[str, float]
    failed: int
    load: float


@dataclass(frozen=True)
class Plan:
    conversations: int
    answer: float
    llm_workers: int
    stand_in: bool
    waves: int


async def measure(plan: Plan) -> Row:
    """Fresh servers and workers; one wave to warm up, then the median of the others."""
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(fresh({"postgres", "nats"}))
        model, pid = await stack.enter_async_context(model_server(plan.answer))
        settings = Settings(nats_url=servers.nats, database_url=SecretStr(servers.postgres))
        await asyncio.to_thread(migrate.upgrade, servers.postgres, settings.database_schema)
        pids = {**_start(stack, plan, servers, model), **dict(servers.pids), "model": pid}
        db = await Database.open(servers.postgres, size=1)
        stack.push_async_callback(db.close)
        bus = await Bus.connect(settings, name="load")
        stack.push_async_callback(bus.close)
        while len(await workers.list_workers(db)) < plan.llm_workers + 2:  # noqa: ASYNC110 - rows of others
            await asyncio.sleep(0.1)
        waves = [await _wave(db, Entrance(db, bus), settings.tenant, pids, plan) for _ in range(plan.waves + 1)]
        return _row(plan, waves[1:])


def _start(stack: AsyncExitStack, plan: Plan, servers: Servers, model: str) -> dict[str, int]:
    ours = [sys.executable, "-m", "trunkline.cli.main"]
    llm = [sys.executable, "-m", "benchmarks.turns.stand_in", APP] if plan.stand_in else [*ours, "worker", "llm", APP]
    commands = {
        "supervisor": [*ours, "supervisor"],
        "agents": [*ours, "worker", "agents", APP],
        "tools": [*ours, "worker", "tools", APP],
        **{f"llm.{number}": llm for number in range(plan.llm_workers)},
    }
    environment = {
        "TRUNKLINE_DATABASE_URL": servers.postgres,
        "TRUNKLINE_NATS_URL": servers.nats,
        "TRUNKLINE_LOG_LEVEL": "error",
        "TRUNKLINE_MODEL_API_BASE": model,
        "TRUNKLINE_LLM_CONCURRENCY": str(plan.conversations),
        "TRUNKLINE_LEASE": "10",  # seconds: nobody starts a worker again here that was taken for dead
        "OPENAI_API_KEY": "none",
        LATENCY: str(plan.answer),
    }
    return {name: _child(stack, command, environment) for name, command in commands.items()}


def _child(stack: AsyncExitStack, command: Sequence[str], environment: dict[str, str]) -> int:
    process = subprocess.Popen(command, env={**os.environ, **environment}, cwd=ROOT)
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process.pid


async def _wave(
    db: Database, entrance: Entrance, tenant: str, pids: dict[str, int], plan: Plan
) -> tuple[tuple[Any, ...], dict[str, float]]:
    """What Postgres says of so many conversations, and the CPU seconds of each process meanwhile."""
    began, before = await db.now(), cpu.seconds(pids)
    letters = [request(tenant, "turn", None, "Where is it?", None, deadline=None) for _ in range(plan.conversations)]
    for at in range(0, len(letters), AT_ONCE):
        await entrance.accept(letters[at : at + AT_ONCE])
    async with asyncio.timeout(LONGEST):
        while (told := await _told(db, began)) is None:  # noqa: ASYNC110 - rows of others
            await asyncio.sleep(0.25)
    after = cpu.seconds(pids)
    return told, {name: after[name] - before[name] for name in after}


async def _told(db: Database, began: float) -> tuple[Any, ...] | None:
    async with db.connection() as connection:
        return await (await connection.execute(_TOOK, [began])).fetchone()


def _row(plan: Plan, waves: Sequence[tuple[tuple[Any, ...], dict[str, float]]]) -> Row:
    calls = plan.conversations * TURNS
    took = median(told[0] for told, _ in waves)
    return Row(
        conversations=plan.conversations,
        answer_s=plan.answer,
        llm_workers=plan.llm_workers,
        through="stand-in" if plan.stand_in else "litellm",
        ideal_s=TURNS * plan.answer,
        took_s=round(took, 2),
        p50_s=round(median(told[2][0] for told, _ in waves), 2),
        p99_s=round(median(told[2][1] for told, _ in waves), 2),
        calls_per_s=round(calls / took, 1),
        cpu_ms={name: round(1000 * median(spent[name] for _, spent in waves) / calls, 2) for name in waves[0][1]},
        failed=sum(told[3] - told[1] for told, _ in waves),
        load=round(os.getloadavg()[0], 1),
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="make turns", description=__doc__)
    parser.add_argument("--conversations", nargs="+", type=int, default=[100, 1000])
    parser.add_argument("--answer", type=float, default=0.5, help="seconds until the model answers")
    parser.add_argument("--llm-workers", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--through", nargs="+", choices=("litellm", "stand-in"), default=["litellm", "stand-in"])
    parser.add_argument("--waves", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULT)
    chosen = parser.parse_args()
    rows = []
    for conversations in chosen.conversations:
        for through in chosen.through:
            for number in chosen.llm_workers:
                plan = Plan(conversations, chosen.answer, number, through == "stand-in", chosen.waves)
                rows.append(uvloop.run(measure(plan)))
                print(rows[-1], flush=True)
    report.tell_and_keep([asdict(row) for row in rows], chosen.out)


if __name__ == "__main__":
    main()
