"""How cost grows: ``make growth`` (about ten minutes). Embedded servers; a supervisor, agent and tool workers as asked.

One table for each thing that may grow: the length of a journal, the turns of a conversation, the size of payloads, the
calls that one run makes at once, the requests that wait for one instance, the instances that lie there, and the agent
workers. Told are CPU milliseconds of each process, statements and rows read, for one thing of each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.bench.report import machine
from benchmarks.growth import conversations, crews, instances, journals, parallel, payloads, picture, queues
from rich.console import Console

RESULT = Path(__file__).parents[1] / "results" / "growth.json"

PARTS: dict[str, Callable[[], Any]] = {
    "conversation": lambda: conversations.measure([10, 100, 1000]),
    "journal of many runs": lambda: journals.many_runs([10, 1000, 100_000]),
    "journal of one run": lambda: journals.one_run("endless", [10, 1000, 100_000]),
    "journal of one run that begins anew": lambda: journals.one_run("renewed", [10, 1000, 100_000]),
    "payload": lambda: payloads.measure([200, 20_000, 1_000_000]),
    "calls at once": lambda: parallel.measure([1, 10, 100, 1000, 5000]),
    "waiting requests": lambda: queues.measure([100, 1000, 8000]),
    "agent workers": lambda: crews.measure([1, 2, 4]),
    "instances": lambda: instances.measure([1000, 100_000, 1_000_000]),
}


async def measure(part: str) -> Any:
    measured = PARTS[part]()
    return await measured if asyncio.iscoroutine(measured) else measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append")
    chosen = parser.parse_args()
    told = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    told["machine"] = machine()
    tables = told.setdefault("tables", {})
    for part in chosen.only or PARTS:
        load = os.getloadavg()[0]
        rows = asyncio.run(measure(part))
        tables[part] = {"load_before": round(load, 1), "load_after": round(os.getloadavg()[0], 1), "rows": rows}
        Console().print({part: tables[part]})
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(told, indent=2) + "\n")
        RESULT.with_suffix(".svg").write_text(picture.plot({name: one["rows"] for name, one in tables.items()}))


if __name__ == "__main__":
    main()
