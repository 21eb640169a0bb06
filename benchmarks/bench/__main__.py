"""Trunkline and its peers side by side, in one run on one machine: ``make bench``.

Rounds alternate between the contenders, each with fresh servers; told are medians and the spread. Ten durable steps a
run, with bodies that do nothing. See benchmarks/README.md for how each contender is set up.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from benchmarks.bench import report
from benchmarks.bench.contenders import CONTENDERS, WORKLOADS, Contender
from benchmarks.bench.rounds import Plan, Round, play
from benchmarks.bench.statistics import row

console = Console(stderr=True, highlight=False)
Key = tuple[str, int, str]


def chosen() -> argparse.Namespace:
    names = [contender.name for contender in CONTENDERS]
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), metavar="WORKLOAD")
    parser.add_argument("--contenders", nargs="+", choices=names, default=names, metavar="CONTENDER")
    parser.add_argument("--in-flight", nargs="+", type=int, default=[1, 100, 1000], metavar="RUNS")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="measured in each round")
    parser.add_argument("--warm-up", type=float, default=4.0, help="seconds before that")
    parser.add_argument("--results", type=Path, default=report.RESULTS, help="directory for JSON and plot")
    return parser.parse_args()


def present(names: Sequence[str]) -> list[Contender]:
    """Those of ``names`` that can take part; the others are named."""
    wanted = [contender for contender in CONTENDERS if contender.name in names]
    for contender in wanted:
        if contender.missing:
            console.print(f"[yellow]{contender.name} is not installed: {', '.join(contender.missing)}")
    return [contender for contender in wanted if not contender.missing]


async def measure(options: argparse.Namespace, contenders: Sequence[Contender], played: dict[Key, list[Round]]) -> None:
    """Play every round, into ``played``."""
    for workload in options.workloads:
        taking_part = [one for one in contenders if workload in one.workloads]
        for in_flight in options.in_flight:
            plan = Plan(workload, in_flight, options.seconds, options.warm_up)
            for number in range(options.rounds):
                for contender in taking_part if number % 2 == 0 else reversed(taking_part):
                    done = await play(contender, plan)
                    played[workload, in_flight, contender.name].append(done)
                    _progress(plan, number, contender, done)


def rows_of(
    options: argparse.Namespace, contenders: Sequence[Contender], played: Mapping[Key, Sequence[Round]]
) -> list[dict[str, Any]]:
    """In the order of workloads, runs in flight, and contenders."""
    order = [(w, n, c.name) for w in options.workloads for n in options.in_flight for c in contenders]
    return [row(w, c, n, played[w, n, c]) for w, n, c in order if (w, n, c) in played]


def _progress(plan: Plan, number: int, contender: Contender, done: Round) -> None:
    said = f"[red]{escape(done.failed)}[/red]" if done.failed else f"{done.steps_per_s:>9,.0f} steps/s"
    busy = os.getloadavg()[0]
    console.print(
        f"{plan.workload:>10} {plan.in_flight:>5}  round {number + 1}  {contender.name:<18} {said}  (load {busy:.1f})"
    )


def main() -> None:
    options = chosen()
    machine = report.machine()
    contenders = present(options.contenders)
    played: dict[Key, list[Round]] = defaultdict(list)
    try:
        asyncio.run(measure(options, contenders, played))
    except KeyboardInterrupt:
        console.print("[yellow]Interrupted: here is what was measured until now.")
    rows = rows_of(options, contenders, played)
    Console().print(report.table(rows))
    asked = {name: getattr(options, name) for name in ("rounds", "seconds", "warm_up")}
    missing = {one.name: one.missing for one in CONTENDERS if one.missing}
    kept = report.write({"machine": machine, "asked": asked, "not_installed": missing, "rows": rows}, options.results)
    console.print(f"Written to {kept}, with a plot beside it.")


if __name__ == "__main__":
    main()
