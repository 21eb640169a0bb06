"""What came out: tables on the terminal, and files in ``benchmarks/results/``."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.bench.contenders import ROOT
from benchmarks.bench.plot import plot
from benchmarks.bench.statistics import OURS, compared
from benchmarks.bench.targets import ratios

RESULTS = ROOT / "benchmarks" / "results"
LATEST = RESULTS / "latest.json"
_CPU_INFO, _MEMORY = Path("/proc/cpuinfo"), Path("/proc/meminfo")


def machine() -> dict[str, Any]:
    """Where and of what state of the code this was measured, and how busy the machine was before."""
    return {
        "commit": commit(),
        "cores": os.cpu_count(),
        "cpu": _field(_CPU_INFO, "model name") or platform.processor(),
        "memory": _field(_MEMORY, "MemTotal"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average": load_average(),
    }


def commit(directory: Path = ROOT) -> str:
    """What git calls the code in ``directory``, with ``-dirty`` if it was changed since; ``unknown`` without git."""
    describe = ["git", "-C", str(directory), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(describe, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def load_average() -> list[float]:
    """Of the last minute, five, and fifteen."""
    return [round(one, 2) for one in os.getloadavg()]


def write(found: Mapping[str, Any], directory: Path, name: str) -> Path:
    """Keep ``found`` as ``<name>.json`` and ``latest.json``, each with a plot beside it; the former's path."""
    directory.mkdir(parents=True, exist_ok=True)
    rows = found["rows"]
    whole = {"machine": found["machine"], "ratios": ratios(rows), **found, "compared": compared(rows)}
    kept = directory / f"{name}.json"
    for path in (kept, directory / LATEST.name):
        path.write_text(json.dumps(whole, indent=2) + "\n")
        path.with_suffix(".svg").write_text(plot(rows))
    return kept


def tell_and_keep(rows: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Rows of one shape: print them, and write them to ``out`` with where they were measured."""
    shown = Table(*rows[0] if rows else ())
    for row in rows:
        shown.add_row(*map(str, row.values()))
    Console().print(shown)
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps({"machine": machine(), "rows": list(rows)}, indent=2) + "\n")


def tables(rows: Sequence[Mapping[str, Any]]) -> Iterator[Table]:
    """The rows, and Trunkline's ratio to each of the others; then the targets."""
    yield _rates([one for one in rows if one["steps_per_s"] is not None or one["failed_rounds"]])
    shown = Table("target", "wanted", "measured", "reached")
    for one in ratios([dict(row) for row in rows]):
        reached = {None: "not measured", True: "yes", False: "no"}[one["reached"]]
        shown.add_row(one["target"], one["wanted"], number(one["measured"], one["unit"]), reached)
    yield shown


def number(value: float | None, unit: str = "") -> str:
    """As people read it: three digits or so."""
    if value is None:
        return "–"
    return f"{value:,.0f}{unit}" if abs(value) >= 100 else f"{value:.3g}{unit}"


def _rates(rows: Sequence[Mapping[str, Any]]) -> Table:
    shown = Table("workload", "in flight", "contender")
    for heading in ("steps/s", "spread", "p50 ms", "p99 ms", *(f"{one} is" for one in OURS)):
        shown.add_column(heading, justify="right")
    shown.add_column("CPU s / 1,000 steps")
    times = {
        (one["workload"], one["in_flight"], one["over"], one["of"]): f"{one['ratio']:g}×"
        for one in compared(dict(row) for row in rows)
    }
    for one in rows:
        cpu = " ".join(f"{role} {spent:.3f}" for role, spent in one["cpu_s_per_1000_steps"].items())
        shown.add_row(
            one["workload"],
            f"{one['in_flight']:,}",
            one["contender"],
            "failed" if one["steps_per_s"] is None else f"{one['steps_per_s']:,.0f}",
            " – ".join(f"{rate:,.0f}" for rate in one["spread"]),
            number(one["p50_ms"]),
            number(one["p99_ms"]),
            *(times.get((one["workload"], one["in_flight"], one["contender"], ours), "") for ours in OURS),
            cpu,
        )
    return shown


def _field(path: Path, name: str) -> str:
    """A line of a file in ``/proc``; empty where there is none."""
    if not path.exists():
        return ""
    lines = (line.partition(":") for line in path.read_text().splitlines())
    return next((" ".join(value.split()) for key, _, value in lines if key.strip() == name), "")
