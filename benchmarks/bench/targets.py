"""What ``make bench`` holds Trunkline to: each target with what was measured, and whether it is reached.

Ratios compare like with like: as many runs in flight, and one process of ours with one of theirs. Where a peer has a
faster set-up with more processes, the ratio to that is told beside it. What each side has several variants of counts as
the fastest of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.bench.statistics import OURS

Rows = Sequence[dict[str, Any]]
Measure = Callable[[Rows], float | None]

ONE = ("trunkline-batched",)
TWO = ("trunkline-two-workers",)
RESTATE = ("restate", "restate-tuned")
DBOS = ("dbos", "dbos-tuned")
PYTHON = ("agents", "tools", "llm", "supervisor")  # processes of ours, in turns
SERVERS = ("postgres", "nats-server")
MODEL_CALLS, STEPS = 3, 5  # of a conversation
IDEAL_MS = 1500.0  # a conversation whose three answers take 500 ms each, and nothing else any time


@dataclass(frozen=True, slots=True)
class Target:
    """``wanted`` is the least, or the most where ``at_most``."""

    name: str
    unit: str
    wanted: float
    measure: Measure
    at_most: bool = False

    def told(self, rows: Rows) -> dict[str, Any]:
        """``reached`` is None when it was not measured."""
        found = self.measure(rows)
        bound = "at most" if self.at_most else "at least"
        reached = None if found is None else (found <= self.wanted if self.at_most else found >= self.wanted)
        measured = None if found is None else round(found, 2)
        return {
            "target": self.name,
            "wanted": f"{bound} {self.wanted:g}{self.unit}",
            "measured": measured,
            "unit": self.unit,
            "reached": reached,
        }


def ratios(rows: Rows) -> list[dict[str, Any]]:
    """Every target."""
    return [target.told(rows) for target in TARGETS]


def _over(workload: str, in_flight: int, theirs: Sequence[str], ours: Sequence[str] = OURS) -> Measure:
    def measure(rows: Rows) -> float | None:
        mine, other = (_best(rows, workload, in_flight, names) for names in (ours, theirs))
        return mine / other if mine and other else None

    return measure


def _best(rows: Rows, workload: str, in_flight: int, names: Sequence[str]) -> float | None:
    here = [one for one in rows if (one["workload"], one["in_flight"]) == (workload, in_flight)]
    return max((one["steps_per_s"] or 0.0 for one in here if one["contender"] in names), default=None)


def _overhead(roles: Sequence[str]) -> Measure:
    """Milliseconds of CPU for each model call, less what litellm alone takes."""

    def measure(rows: Rows) -> float | None:
        spent = {
            one["contender"]: one["cpu_s_per_1000_steps"]
            for one in rows
            if (one["workload"], one["in_flight"]) == ("turn", 100)
        }
        ours, alone = spent.get("trunkline"), spent.get("litellm-alone")
        if not ours or not alone:
            return None
        a_step = sum(ours.get(role) or 0.0 for role in roles) - alone["agents"]
        return float(a_step * STEPS / MODEL_CALLS)  # seconds a thousand are milliseconds for one

    return measure


def _one(workload: str, name: str, **where: Any) -> Measure:
    """A value of the row that is described; of Trunkline's, if nothing else is said."""

    def measure(rows: Rows) -> float | None:
        wanted = {"workload": workload, "contender": "trunkline", **where}
        here = (one for one in rows if all(one.get(key) == value for key, value in wanted.items()))
        return next((one.get(name) for one in here), None)

    return measure


def _times_ideal(quantile: str) -> Measure:
    """How long conversations take of which a thousand are under way, over what they should."""

    def measure(rows: Rows) -> float | None:
        seen = _one("turn-500ms", quantile, contender="trunkline-three-llm", in_flight=1000)(rows)
        return seen / IDEAL_MS if seen else None

    return measure


def _accepted(rows: Rows) -> float | None:
    return max((_best(rows, "ingress", many, ("trunkline-nats",)) or 0.0 for many in (100, 1000)), default=0.0) or None


TARGETS = (
    Target("local, 1,000 in flight, over Restate", "×", 10, _over("local", 1000, RESTATE)),
    Target("… over Restate with three processes", "×", 10, _over("local", 1000, ("restate-three",))),
    Target("local, 1,000 in flight, over DBOS", "×", 100, _over("local", 1000, DBOS)),
    Target("local, 1 in flight, over Restate", "×", 3, _over("local", 1, RESTATE)),
    Target("remote, 1,000 in flight, over Restate", "×", 7, _over("remote", 1000, RESTATE)),
    Target("… over Restate with three processes", "×", 7, _over("remote", 1000, ("restate-three",))),
    Target("remote, 1 in flight, over Restate", "×", 3, _over("remote", 1, RESTATE)),
    *(
        Target(f"{workload}, {many:,} in flight, of the floor", "×", 0.5, _over(workload, many, ("floor",)))
        for workload in ("local", "remote")
        for many in (1000, 100, 1)
    ),
    *(
        Target(
            f"{one}, 1,000 in flight, two agent workers over one",
            "×",
            1.7,
            _over(one, 1000, ONE, TWO),
        )
        for one in ("local", "remote")
    ),
    Target("turn: CPU of a model call beyond bare litellm, read to its end", " ms", 5, _overhead(PYTHON), at_most=True),
    Target("… with Postgres and nats-server", " ms", 5, _overhead(PYTHON + SERVERS), at_most=True),
    Target("turn-500ms, 1,000 in flight: p50 over the ideal 1.5 s", "×", 1.1, _times_ideal("p50_ms"), at_most=True),
    Target("… p99 over the ideal 1.5 s", "×", 1.1, _times_ideal("p99_ms"), at_most=True),
    Target("ingress: events accepted a second", "", 8000, _accepted),
    Target("memory of a suspended run", " bytes", 3000, _one("memory", "bytes_a_suspended_run"), at_most=True),
    Target(
        "memory of an idle instance, of a million",
        " bytes",
        1,
        _one("wake", "bytes_an_idle_instance", idle_instances=1_000_000),
        at_most=True,
    ),
)
