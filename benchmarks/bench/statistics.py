"""Rounds into rows: medians and spread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any

from benchmarks.bench.rounds import Round

OURS = ("trunkline", "trunkline-batched")


def row(workload: str, contender: str, in_flight: int, rounds: Sequence[Round]) -> dict[str, Any]:
    """A row of the results. Rates are a second, times in milliseconds; ``spread`` is the lowest and the highest rate,
    ``cpu_s_per_1000_steps`` tells each process's by role, and ``cores_busy_elsewhere`` the most of any round. Rounds
    that failed are only named. Where no run ended that began beside so many, ``p50_ms`` is None.
    """
    good = [one for one in rounds if not one.failed]
    rates = [one.steps_per_s for one in good]
    return {
        "workload": workload,
        "contender": contender,
        "in_flight": in_flight,
        "steps_per_s": _middle(rates, 1),
        "p50_ms": _middle([one.p50_ms for one in good], 2),
        "p99_ms": _middle([one.p99_ms for one in good], 2),
        "spread": [round(min(rates), 1), round(max(rates), 1)] if rates else [],
        "runs_per_s": _middle([one.runs_per_s for one in good], 1),
        "cpu_s_per_1000_steps": _roles(good, lambda one: one.cpu),
        "cores_busy_elsewhere": round(max((one.elsewhere or 0.0 for one in good), default=0.0), 2),
        "rounds": len(good),
        "failed_runs": sum(one.failures for one in good),
        "failure": next((one.failure for one in good if one.failure), ""),
        "failed_rounds": [one.failed for one in rounds if one.failed],
        **(good[-1].about if good else {}),
    }


def compared(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rate of each of ours over each other's, for the same workload and as many runs in flight."""
    done = [one for one in rows if one["steps_per_s"]]
    return [
        {
            "workload": other["workload"],
            "in_flight": other["in_flight"],
            "of": ours["contender"],
            "over": other["contender"],
            "ratio": round(ours["steps_per_s"] / other["steps_per_s"], 2),
        }
        for ours in done
        for other in done
        if (ours["workload"], ours["in_flight"]) == (other["workload"], other["in_flight"])
        and ours["contender"] in OURS
        and not other["contender"].startswith("trunkline")
    ]


def _middle(values: Iterable[float | None], digits: int) -> float | None:
    known = [value for value in values if value is not None]
    return round(median(known), digits) if known else None


def _roles(rounds: Sequence[Round], by_role: Callable[[Round], dict[str, float]]) -> dict[str, float | None]:
    roles = dict.fromkeys(role for one in rounds for role in by_role(one))
    return {role: _middle((by_role(one).get(role) for one in rounds), 4) for role in roles}
