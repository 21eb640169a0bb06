"""The README's tables, made from ``results/latest.json``: ``python -m benchmarks.bench.table`` (``--check`` only says
whether they are current).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.bench.contenders import CONTENDERS, ROOT
from benchmarks.bench.report import LATEST, number
from benchmarks.bench.targets import ratios

README = ROOT / "README.md"
BEGIN = "<!-- made from benchmarks/results/latest.json by `python -m benchmarks.bench.table` -->"
END = "<!-- /made -->"
IN_FLIGHT = (1, 100, 1000)
DISTURBED = 0.3  # cores that others kept busy: a row with as many is named
FEW = 100  # steps: the processes' clocks tick every 10 ms, which is not nothing for so few

Row = Mapping[str, Any]

_PLACES = [contender.name for contender in CONTENDERS]
_RATES = {
    "local": "steps recorded by the agent's process",
    "remote": "steps carried out by another process",
    "turn": "steps of a model-driven agent (three model calls, two tools); the model answers at once",
    "turn-500ms": "the same; the model answers after 500 ms",
    "ingress": "accepted, durably (a second; nothing else is done)",
}


def section(found: Mapping[str, Any]) -> str:
    """What stands between the marks."""
    rows = found["rows"]
    parts = [_where(found), "", *_rates(rows, found["asked"]["seconds"]), "", *_alone(rows), *_targets(ratios(rows))]
    parts += ["", *_refused(rows)]
    failed = [f"`{one['contender']}` ({one['workload']})" for one in rows if one["failed_rounds"]]
    missing = [f"`{name}`" for name in found["not_installed"]]
    parts += ["", f"Not installed: {', '.join(missing)}."] if missing else []
    parts += ["", f"Rounds that failed: {', '.join(dict.fromkeys(failed))}; why is in the JSON."] if failed else []
    return "\n".join(parts)


def renewed(readme: str, found: Mapping[str, Any]) -> str:
    """The README with the section made anew.

    Raises:
        ValueError: the marks are not there.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{README.name} has no place between {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n{section(found)}\n{END}{after}"


def _where(found: Mapping[str, Any]) -> str:
    machine, asked = found["machine"], found["asked"]
    versions = {one for row in found["rows"] for one in row.get("versions", {}).items()}
    said = ", ".join(" ".join(one) for one in sorted(versions))
    return "\n".join(_folded(
        f"{machine['cores']} cores ({machine['cpu']}), {machine['system']}, CPython {machine['python']}; load average "
        f"{machine['load_average'][0]:g} before. {_disturbed(found['rows'])} Medians of {asked['rounds']} rounds of "
        f"{asked['seconds']:g} s or more, in {asked['minutes']:g} minutes. {said}."
    ))  # fmt: skip


def _disturbed(rows: Iterable[Row]) -> str:
    """What others did beside each contender, in that of its rounds in which they did most."""
    most: dict[str, float] = {}
    for row in rows:
        name = f"`{row['contender']}` ({row['workload']})"
        most[name] = max(most.get(name, 0.0), row.get("cores_busy_elsewhere", 0.0))
    named = ", ".join(f"{busy:g} beside {name}" for name, busy in most.items() if busy >= DISTURBED)
    rest = max((busy for busy in most.values() if busy < DISTURBED), default=0.0)
    beside = f"{named}; at most {rest:g} beside all others" if named else f"at most {rest:g}"
    return f"Cores that were busy with something else, in the worst round: {beside}."


def _rates(rows: Sequence[Row], seconds: float) -> Iterator[str]:
    head = "".join(f" at {many:,} |" for many in IN_FLIGHT)
    yield f"| steps a second, runs in flight: |{head} run p50 / p99 at 1 | at 1,000 | CPU s / 1,000 steps |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | --- |"
    for workload, meaning in _RATES.items():
        here = [row for row in rows if row["workload"] == workload]
        if here:
            yield f"| **{workload}**: {meaning} | | | | | | |"
        for name in sorted({row["contender"] for row in here}, key=_PLACES.index):
            yield _line(name, {row["in_flight"]: row for row in here if row["contender"] == name}, seconds)


def _line(name: str, levels: Mapping[int, Row], seconds: float) -> str:
    cells = [_rate(levels.get(many)) for many in IN_FLIGHT]
    cells += [_latency(levels.get(1)), _latency(levels.get(1000)), _cpu(levels[max(levels)], seconds)]
    return f"| `{name}` | " + " | ".join(cells) + " |"


def _rate(row: Row | None) -> str:
    if row is None:
        return ""
    return "failed" if row["steps_per_s"] is None else number(row["steps_per_s"])


def _latency(row: Row | None) -> str:
    if row is None or row["steps_per_s"] is None:
        return ""
    return f"{number(row['p50_ms'])} / {number(row['p99_ms'])} ms" if row["p50_ms"] is not None else "not seen to end"


def _cpu(row: Row, seconds: float) -> str:
    if (row["steps_per_s"] or 0.0) * seconds < FEW:
        return ""
    return ", ".join(f"{role} {spent:.2g}" for role, spent in row["cpu_s_per_1000_steps"].items() if spent)


def _alone(rows: Iterable[Row]) -> Iterator[str]:
    """What is measured of Trunkline alone."""
    named = [(row, *_name(row)) for row in rows if any(_name(row))]
    if named:
        yield "| Trunkline alone | p50 | p99 | |"
        yield "| --- | ---: | ---: | --- |"
        for row, name, also in named:
            times = [number(row[which], " ms") if row[which] is not None else "" for which in ("p50_ms", "p99_ms")]
            yield f"| {name} | {times[0]} | {times[1]} | {also} |"
        yield ""


def _name(row: Row) -> tuple[str, str]:
    if row["failed_rounds"]:
        return "", ""
    if row["workload"] == "wake":
        return f"a dormant instance among {row['idle_instances']:,} begins", ""
    if row["workload"] == "recovery":
        return f"{row['in_flight']:,} runs go on after SIGKILL of their worker", f"slowest {row['slowest_ms']:,} ms"
    if row["workload"] == "memory":
        also = f"{row['bytes_a_suspended_run']:,} bytes each in memory, {row['postgres_bytes_a_run']:,} in Postgres"
        return f"{row['in_flight']:,} suspended runs on one worker", also
    return "", ""


def _refused(rows: Iterable[Row]) -> Iterator[str]:
    """Runs that failed in rounds that count; each was tried again."""
    for row in rows:
        if row["failed_runs"]:
            where = f"{row['workload']}, {row['in_flight']:,} in flight"
            told = f"- `{row['contender']}` ({where}): {row['failed_runs']:,} runs failed: {row['failure'][:100]}"
            yield from _folded(told)


def _targets(ratios: Iterable[Row]) -> Iterator[str]:
    yield "| target | wanted | measured | reached |"
    yield "| --- | ---: | ---: | --- |"
    for one in ratios:
        reached = {None: "not measured", True: "yes", False: "**no**"}[one["reached"]]
        yield f"| {one['target']} | {one['wanted']} | {number(one['measured'], one['unit'])} | {reached} |"


def _folded(text: str) -> Iterator[str]:
    line = ""
    for word in text.split():
        if len(line) + len(word) >= 120:
            yield line
            line = ""
        line = f"{line} {word}".strip()
    yield line


def outdated(readme: Path = README, latest: Path = LATEST) -> bool:
    """Whether the README's tables are not what the results say."""
    text = readme.read_text()
    return text != renewed(text, json.loads(latest.read_text()))


def main(arguments: Sequence[str]) -> int:
    """Write the tables; with ``--check`` fail if they are not current."""
    if not outdated():
        return 0
    if "--check" in arguments:
        print("README.md does not have the tables of benchmarks/results/latest.json: run make bench-table")
        return 1
    README.write_text(renewed(README.read_text(), json.loads(LATEST.read_text())))
    print("wrote README.md")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
