"""What sleeping costs: ``make suspension``. Embedded servers, one supervisor, one agent worker.

First many runs that wait for a signal, all in memory and with default settings; then instances whose runs have ended,
up to a million of them, and what everything else takes beside them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from pathlib import Path
from typing import Any

from benchmarks.bench.report import machine
from benchmarks.suspension import asleep, idle
from rich.console import Console

RESULT = Path(__file__).parents[1] / "results" / "suspension.json"


async def measure(part: str, chosen: argparse.Namespace) -> Any:
    if part == "all_in_memory":
        return await asleep.all_in_memory(chosen.runs, chosen.signals)
    if part == "by_default":
        return await asleep.by_default(chosen.runs, chosen.signals)
    return await idle.beside(chosen.idle)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--signals", type=int, default=1000, help="to how many of them, at random")
    parser.add_argument("--idle", type=int, nargs="*", default=[1000, 100_000, 1_000_000])
    parser.add_argument("--only", choices=["all_in_memory", "by_default", "idle"], action="append")
    chosen = parser.parse_args()
    told = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    told["machine"] = machine()
    for part in chosen.only or ["all_in_memory", "by_default", "idle"]:
        load = os.getloadavg()[0]
        told[part] = {"load_before": round(load, 1), "measured": asyncio.run(measure(part, chosen))}
        Console().print({part: told[part]})
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
