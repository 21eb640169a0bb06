"""What became of it all: the numbers, and whether every promise was kept. Data alone; others show it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Hit:
    """A strike: ``what`` was done to ``whom``, ``at_s`` seconds after the beginning, who ``held`` so many things.
    ``delays`` are the seconds until each of those that went on did.
    """

    what: str
    whom: str
    at_s: float
    held: int
    delays: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Repeated:
    """Executions beyond the first of a step, which died before their outcome was recorded (or failed, and were tried
    again); ``llm_cost_usd`` is what those of model calls cost by the mean of the recorded ones, if prices are known.
    """

    tool: int = 0
    llm: int = 0
    llm_cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """``runs`` were asked for. ``lost`` neither ended nor are parked nor wait for a person or a time; ``doubled`` is
    the number of ``violations`` that journals and ledger show. ``left_out`` strikes had no time.
    """

    app: str
    agent: str
    runs: int
    accepted: int
    completed: int
    failed: int
    cancelled: int
    parked: int
    waiting: int
    lost: int
    violations: Sequence[str]
    hits: Sequence[Hit]
    repeated: Repeated
    seconds: float
    model: str = ""
    seed: int = 0
    left_out: int = 0
    first_error: str = ""
    parked_because: dict[str, int] = field(default_factory=dict)

    @property
    def doubled(self) -> int:
        return len(self.violations)

    @property
    def kept(self) -> bool:
        """Whether every promise was."""
        return not self.lost and not self.violations

    def as_json(self) -> dict[str, Any]:
        """The document that scripts take. Times are seconds; ``null`` where nothing was measured."""
        told = {name: value for name, value in asdict(self).items() if name not in ("hits", "seconds")}
        return {
            **told,
            "doubled": self.doubled,
            "kills": [_hit(hit) for hit in self.hits],
            "recover": recovery(delay for hit in self.hits for delay in hit.delays),
            "seconds": round(self.seconds, 3),
            "kept": self.kept,
        }


def recovery(delays: Iterable[float]) -> dict[str, float | None]:
    """``p50_s`` and ``p99_s`` of ``delays``: each the smallest that so many percent do not exceed."""
    known = sorted(delays)
    return {f"p{percent}_s": _percentile(known, percent) for percent in (50, 99)}


def by_strike(hits: Iterable[Hit]) -> dict[str, list[Hit]]:
    """The hits of each kind, in the order in which the kinds first came."""
    kinds: dict[str, list[Hit]] = {}
    for hit in hits:
        kinds.setdefault(hit.what, []).append(hit)
    return kinds


def _percentile(known: Sequence[float], percent: int) -> float | None:
    return round(known[math.ceil(len(known) * percent / 100) - 1], 3) if known else None


def _hit(hit: Hit) -> dict[str, Any]:
    went_on = {"went_on": len(hit.delays), **recovery(hit.delays)}
    return {"what": hit.what, "whom": hit.whom, "at_s": round(hit.at_s, 3), "held": hit.held, **went_on}
