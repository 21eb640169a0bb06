"""Trunkline and its peers side by side, in one run on one machine: ``make bench``.

Rounds alternate between the contenders, each with fresh servers; told are medians and the spread. Ten durable steps a
run, with bodies that do nothing. See benchmarks/README.md for how each contender is set up.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from benchmarks.bench import report
from benchmarks.bench.contenders import CONTENDERS, IN_FLIGHT, WORKLOADS, Contender
from benchmarks.bench.rounds import Plan, Round, play
from benchmarks.bench.statistics import row
from benchmarks.bench.studies import STUDIES, study

console = Console(stderr=True, highlight=False, soft_wrap=True)
Key = tuple[str, int, str]

SHORT = {"rounds": 3, "seconds": 2.5, "warm_up": 1.0, "patience": 60.0}
THOROUGH = {"rounds": 5, "seconds": 10.0, "warm_up": 4.0, "patience": 240.0}


def chosen() -> argparse.Namespace:
    names = [contender.name for contender in CONTENDERS]
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    everything = [*WORKLOADS, *STUDIES]
    parser.add_argument("--workloads", nargs="+", choices=everything, default=everything, metavar="WORKLOAD")
    parser.add_argument("--contenders", nargs="+", choices=names, default=names, metavar="CONTENDER")
    parser.add_argument(
        "--in-flight", nargs="+", type=int, metavar="RUNS", help="for all, whatever each has by default"
    )
    parser.add_argument("--thorough", action="store_true", help=f"about three hours: {THOROUGH}, and no level left out")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="measured at each number of runs in flight")
    parser.add_argument("--warm-up", type=float, help="seconds before that")
    parser.add_argument("--patience", type=float, help="seconds, when runs take longer, until each in flight has ended")
    parser.add_argument("--results", type=Path, default=report.RESULTS, help="directory for JSON and plot")
    options = parser.parse_args()
    for name, value in (THOROUGH if options.thorough else SHORT).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def present(names: Sequence[str]) -> list[Contender]:
    """Those of ``names`` that can take part; the others are named."""
    wanted = [contender for contender in CONTENDERS if contender.name in names]
    for contender in wanted:
        if contender.missing:
            console.print(f"[yellow]{contender.name} is not installed: {', '.join(contender.missing)}")
    return [contender for contender in wanted if not contender.missing]


class Bench:
    """What was asked for, and what is known so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._contenders = present(options.contenders)
        self._machine = report.machine()
        self._played: dict[Key, list[Round]] = defaultdict(list)
        self._studied: list[dict[str, Any]] = []
        self._began = time.monotonic()
        self._name = time.strftime("%Y-%m-%d-%H%M")

    async def measure(self) -> None:
        """Everything. What is known is kept on disk after each workload."""
        for workload in self._options.workloads:
            if workload in STUDIES:
                self._studied += await self._study(workload)
            else:
                await self._rounds(workload)
            self.keep()

    def keep(self) -> Path:
        options = self._options
        asked = {name: getattr(options, name) for name in SHORT} | {"thorough": options.thorough}
        found = {
            "machine": self._machine | {"load_average_at_the_end": report.load_average()},
            "asked": asked | {"minutes": round((time.monotonic() - self._began) / 60, 1)},
            "not_installed": {one.name: one.missing for one in CONTENDERS if one.missing},
            "rows": self.rows(),
        }
        return report.write(found, options.results, self._name)

    def rows(self) -> list[dict[str, Any]]:
        """In the order of workloads, runs in flight, and contenders."""
        levels = sorted({in_flight for _, in_flight, _ in self._played})
        order = [(w, n, c.name) for w in self._options.workloads for n in levels for c in self._contenders]
        return [row(w, c, n, self._played[w, n, c]) for w, n, c in order if (w, n, c) in self._played] + self._studied

    async def _rounds(self, workload: str) -> None:
        able = [(one, self._levels(workload, one)) for one in self._contenders if workload in one.workloads]
        taking_part = [(one, levels) for one, levels in able if levels]
        for number in range(self._options.rounds):
            for contender, levels in taking_part if number % 2 == 0 else reversed(taking_part):
                plan = Plan(workload, levels, self._options.seconds, self._options.warm_up, self._options.patience)
                for in_flight, done in (await play(contender, plan)).items():
                    self._played[workload, in_flight, contender.name].append(done)
                    self._tell(f"{workload:>10} {in_flight:>5}  round {number + 1}  {contender.name:<22} {_said(done)}")

    def _levels(self, workload: str, contender: Contender) -> tuple[int, ...]:
        usual = IN_FLIGHT if self._options.thorough else contender.workloads[workload]
        return tuple(sorted(self._options.in_flight or usual))

    async def _study(self, workload: str) -> list[dict[str, Any]]:
        rows = await study(workload)
        for one in rows:
            said = escape(" ".join(one["failed_rounds"])) or f"p50 {one['p50_ms']} ms, p99 {one['p99_ms']} ms"
            self._tell(f"{workload:>10} {one['in_flight']:>5}  {said}")
        return rows

    def _tell(self, line: str) -> None:
        minutes = (time.monotonic() - self._began) / 60
        console.print(f"{minutes:5.1f} min  {line}  (load {os.getloadavg()[0]:.1f})")


def _said(done: Round) -> str:
    if done.failed:
        return f"[red]{escape(done.failed)}[/red]"
    failures = f", [red]{done.failures} runs failed: {escape(done.failure)}[/red]" if done.failures else ""
    return f"{done.steps_per_s:>9,.0f} steps/s{failures}"


async def until_told_to_stop(bench: Bench) -> None:
    """SIGTERM ends it as Ctrl-C does: with the servers and programs that it started."""
    task = asyncio.ensure_future(bench.measure())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await task


def main() -> None:
    options = chosen()
    bench = Bench(options)
    try:
        asyncio.run(until_told_to_stop(bench))
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("[yellow]Interrupted: here is what was measured until now.")
    kept = bench.keep()
    show(bench.rows())
    console.print(f"Written to {kept}, with a plot beside it.")


def show(rows: Sequence[Mapping[str, Any]]) -> None:
    wide = Console(width=max(150, Console().width))
    for table in report.tables(rows):
        wide.print(table)


if __name__ == "__main__":
    main()
