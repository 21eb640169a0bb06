"""Past saturation: ``make overload``. Runs of ten local steps are offered at half of what can be done, at as much, at
twice and at five times as much, over HTTP and as events; told is what was accepted, shed and completed meanwhile, how
long it took, what memory it took, and that everything accepted was completed in the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from pathlib import Path
from typing import Any

from benchmarks.bench.report import machine
from benchmarks.overload.curve import curve
from benchmarks.overload.exchange import Exchange, exchange
from benchmarks.overload.phases import phase
from rich.console import Console

RESULT = Path(__file__).parents[1] / "results" / "overload.json"
SATURATED = 16.0  # seconds of a closed loop before each phase: other work on the machine comes and goes
STEADY = (1.0, 2.0, 1.0)  # times what can be done, in the minutes that are told apart
# With everything on one machine, and more asked of it than it can do, a worker may well be without a turn for a second.
SETTINGS = {"lease": 5.0, "blocked_after": 20.0}
console = Console(stderr=True, highlight=False)


async def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for way in chosen.ways:
        told[way] = []
        async with exchange(**SETTINGS, max_backlog=chosen.backlog) as ours:
            await phase(ours, way, 0, SATURATED, "warm")
            for times in chosen.times:
                told[way].append(await _found_and_offered(ours, way, times, chosen.seconds, f"at-{times:g}"))
            if chosen.steady:
                told["steady"] = told.get("steady", {}) | {way: await steady(ours, way, chosen.steady)}
    return told


async def steady(ours: Exchange, way: str, seconds: float) -> list[dict[str, Any]]:
    """For minutes, behind all that was done before: twice of what can be done, where what has no bound grows; before
    and after it only as much, which tells what the servers' own upkeep takes by then.
    """
    told = []
    for number, times in enumerate(STEADY):
        told.append(await _found_and_offered(ours, way, times, seconds, f"steady-{number}"))
    return told


async def _found_and_offered(ours: Exchange, way: str, times: float, seconds: float, name: str) -> dict[str, Any]:
    """Find what can be done just now, by what ends while 1,000 runs are always under way, and offer that many times."""
    found = await phase(ours, way, 0, SATURATED, f"before-{name}")
    most = found["completed_per_s"]
    done = await phase(ours, way, most * times, seconds, name)
    told = {"times": times, "saturation_per_s": most, "load_average": round(os.getloadavg()[0], 1), **done}
    _tell(told)
    return told


def _tell(found: dict[str, Any]) -> None:
    console.print({name: value for name, value in found.items() if name != "answer_ms"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="that each phase offers")
    parser.add_argument("--times", type=float, nargs="*", default=[0.5, 1.0, 2.0, 5.0])
    parser.add_argument("--steady", type=float, default=0.0, help="seconds at once, at twice and at once again")
    parser.add_argument("--backlog", type=int, default=500, help="TRUNKLINE_MAX_BACKLOG; by default it is 10,000")
    parser.add_argument("--ways", nargs="+", choices=["http", "nats"], default=["http", "nats"])
    parser.add_argument("--result", type=Path, default=RESULT)
    chosen = parser.parse_args()
    asked = {"seconds": chosen.seconds, "settings": {**SETTINGS, "max_backlog": chosen.backlog}}
    told = {"machine": machine(), "asked": asked, **asyncio.run(measure(chosen))}
    chosen.result.parent.mkdir(exist_ok=True)
    chosen.result.write_text(json.dumps(told, indent=2) + "\n")
    chosen.result.with_suffix(".svg").write_text(curve(told))


if __name__ == "__main__":
    main()
