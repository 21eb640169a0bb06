"""What came out: a table on the terminal, and files in ``benchmarks/results/``."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.bench.contenders import ROOT
from benchmarks.bench.plot import plot
from benchmarks.bench.statistics import OURS, ratios

RESULTS = ROOT / "benchmarks" / "results"
_CPU_INFO, _MEMORY = Path("/proc/cpuinfo"), Path("/proc/meminfo")


def machine() -> dict[str, Any]:
    """Where this was measured, and how busy it was otherwise."""
    return {
        "cores": os.cpu_count(),
        "cpu": _field(_CPU_INFO, "model name") or platform.processor(),
        "memory": _field(_MEMORY, "MemTotal"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average": [round(one, 2) for one in os.getloadavg()],
    }


def write(found: Mapping[str, Any], directory: Path = RESULTS) -> Path:
    """Keep ``found`` as ``<date>.json`` and ``latest.json``, each with a plot beside it; the former's path."""
    directory.mkdir(parents=True, exist_ok=True)
    kept = directory / f"{time.strftime('%Y-%m-%d-%H%M')}.json"
    for path in (kept, directory / "latest.json"):
        path.write_text(json.dumps({**found, "ratios": ratios(found["rows"])}, indent=2) + "\n")
        path.with_suffix(".svg").write_text(plot(found["rows"]))
    return kept


def table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The rows, and Trunkline's ratio to each of the others."""
    shown = Table("workload", "in flight", "contender")
    for heading in ("steps/s", "spread", "p50 ms", "p99 ms", *(f"{one} is" for one in OURS), "CPU s / 1,000 steps"):
        shown.add_column(heading, justify="right")
    times = {
        (one["workload"], one["in_flight"], one["over"], one["of"]): f"{one['ratio']:g}×"
        for one in ratios(dict(row) for row in rows)
    }
    for one in rows:
        cpu = " ".join(f"{role} {spent}" for role, spent in one["cpu_s_per_1000_steps"].items())
        shown.add_row(
            one["workload"],
            f"{one['in_flight']:,}",
            one["contender"],
            "failed" if one["steps_per_s"] is None else f"{one['steps_per_s']:,.0f}",
            " – ".join(f"{rate:,.0f}" for rate in one["spread"]),
            _number(one["p50_ms"]),
            _number(one["p99_ms"]),
            *(times.get((one["workload"], one["in_flight"], one["contender"], ours), "") for ours in OURS),
            cpu,
        )
    return shown


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f}"


def _field(path: Path, name: str) -> str:
    """A line of a file in ``/proc``; empty where there is none."""
    if not path.exists():
        return ""
    lines = (line.partition(":") for line in path.read_text().splitlines())
    return next((" ".join(value.split()) for key, _, value in lines if key.strip() == name), "")
