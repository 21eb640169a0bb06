"""What an exchange costs that has nothing to do: ``make idle``. Embedded servers, and one process of every kind.

CPU seconds (user and system, of each process with its children) over a while in which nothing is asked of anybody; the
transactions that Postgres saw meanwhile, and the connections that each kind of process holds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

from benchmarks.bench import cpu
from benchmarks.bench.report import machine
from rich.console import Console

from trunkline.authoring.loading import load_app
from trunkline.embedded.children import Children
from trunkline.embedded.parts import all_joined, gateway_answers, parts_of
from trunkline.embedded.serving import servers
from trunkline.store.database import Database

APP = str(Path(__file__).with_name("idle_app.py"))
RESULT = Path(__file__).parents[1] / "results" / "idle.json"
PORT = 18_479
SETTLE = 10.0  # seconds from the last process's start until it is measured: what was started is not idle yet

_TRANSACTIONS = "select sum(xact_commit + xact_rollback)::bigint from pg_stat_database"
_CONNECTIONS = """
select application_name, count(*) from pg_stat_activity
where backend_type = 'client backend' and pid <> pg_backend_pid() group by 1 order by 1
"""


async def measure(seconds: float) -> dict[str, Any]:
    """Start everything, wait until it is quiet, and look twice."""
    parts = parts_of(APP, load_app(APP), 1)
    async with servers() as stack:
        environment = stack.environment(port=PORT, log_level="warning", log_format="console")
        async with Children(environment, print) as children:
            for name, arguments in parts.items():
                children.add(name, *arguments)
            began = time.monotonic()
            db = await Database.open(stack.postgres.url, size=1, wait=30)
            while not (await all_joined(db, parts) and await gateway_answers(f"http://127.0.0.1:{PORT}")):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            ready = time.monotonic() - began
            await asyncio.sleep(SETTLE)
            connections = dict(await rows(db, _CONNECTIONS))
            pids = children.pids | {"nats-server": stack.nats.pid, "postgres": stack.postgres.pid}
            transactions, spent, began = await count(db), cpu.seconds(pids), time.monotonic()
            await asyncio.sleep(seconds)
            took = time.monotonic() - began
            each = {role: (after - spent[role]) / took for role, after in cpu.seconds(pids).items()}
            transactions = await count(db) - transactions - 1
            await db.close()
    return {
        "seconds": round(took, 1),
        "percent_of_a_core": {role: round(100 * part, 2) for role, part in sorted(each.items())},
        "percent_of_a_core_together": round(100 * sum(each.values()), 2),
        "transactions_per_s": round(transactions / took, 1),
        "connections": connections,
        "ready_s": round(ready, 2),
    }


async def count(db: Database) -> int:
    return int((await rows(db, _TRANSACTIONS))[0][0])


async def rows(db: Database, sql: str) -> list[tuple[Any, ...]]:
    async with db.connection() as connection:
        return await (await connection.execute(sql.encode())).fetchall()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--result", type=Path, default=RESULT)
    chosen = parser.parse_args()
    load = os.getloadavg()[0]
    told = {
        "machine": machine(),
        "load_before": round(load, 1),
        **asyncio.run(measure(chosen.seconds)),
    }
    Console().print(told)
    chosen.result.parent.mkdir(exist_ok=True)
    chosen.result.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
