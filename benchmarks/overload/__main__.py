"""Past saturation: ``make overload``. Runs of ten local steps are offered at half of what can be done, at as much, at
twice and at five times as much, over HTTP and as events; told is what was accepted, shed and completed meanwhile, how
long it took, what memory it took, and that everything accepted was completed in the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
from pathlib import Path
from typing import Any

from benchmarks.overload.curve import curve
from benchmarks.overload.exchange import exchange
from benchmarks.overload.phases import phase
from rich.console import Console

RESULT = Path(__file__).parents[1] / "results" / "overload.json"
WARM_UP = 5.0  # seconds
console = Console(stderr=True, highlight=False)


async def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for way in chosen.ways:
        async with exchange() as ours:
            await phase(ours, "http", 0, WARM_UP, "warm")
            # What can be done, however it is asked for: as many runs as end when 1,000 are always under way.
            found = await phase(ours, "http", 0, chosen.seconds, "saturation")
            most = found["completed_per_s"]
            _tell("saturation", found)
            told[way] = {"saturation_per_s": most, "saturation": found, "phases": []}
            for times in chosen.times:
                done = {"times": times} | await phase(ours, way, most * times, chosen.seconds, f"at-{times:g}")
                told[way]["phases"].append(done | {"load_average": round(os.getloadavg()[0], 1)})
                _tell(f"{way} {times:g}x", done)
    return told


def _tell(what: str, found: dict[str, Any]) -> None:
    shown = ("offered_per_s", "answered", "accepted_per_s", "completed_per_s", "run_ms", "answer_ms", "memory_mb")
    more = ("accepted", "told_accepted", "told_and_completed", "not_completed", "drained_after_s", "unanswered")
    console.print(what, {name: found[name] for name in (*shown, *more)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="that each phase offers")
    parser.add_argument("--times", type=float, nargs="+", default=[0.5, 1.0, 2.0, 5.0])
    parser.add_argument("--ways", nargs="+", choices=["http", "nats"], default=["http", "nats"])
    parser.add_argument("--result", type=Path, default=RESULT)
    chosen = parser.parse_args()
    machine = {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}
    told = {"machine": machine, "load_before": round(os.getloadavg()[0], 1), **asyncio.run(measure(chosen))}
    chosen.result.parent.mkdir(exist_ok=True)
    chosen.result.write_text(json.dumps(told, indent=2) + "\n")
    chosen.result.with_suffix(".svg").write_text(curve(told))


if __name__ == "__main__":
    main()
