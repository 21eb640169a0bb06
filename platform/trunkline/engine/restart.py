"""Whether what has ended is begun again: the kind of restart, and its intensity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trunkline.domain.specs import RestartPolicy
from trunkline.domain.status import Restart
from trunkline.engine.retry import backoff


@dataclass(frozen=True, slots=True)
class Again:
    """Begin it again after ``delay`` seconds. ``restarts`` are the times that count from now on, this one included."""

    delay: float
    restarts: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Exhausted:
    """It was restarted too often: whoever supervises decides."""

    restarts: int
    within: float

    def __str__(self) -> str:
        return f"restarted {self.restarts} times within {self.within:g} s, and that is all it may be"


def restart(
    policy: RestartPolicy, *, failed: bool, restarts: Sequence[float], now: float, seed: str
) -> Again | Exhausted | None:
    """What becomes of something that ended ``now`` (seconds since the epoch); ``None``: it stays ended.

    ``restarts`` are the times of earlier ones. What completed by itself and is begun again (``permanent``) was no
    fault: it waits the shortest delay, and counts as well, so that a loop that does nothing is found.
    """
    if policy.restart is Restart.TEMPORARY or (policy.restart is Restart.TRANSIENT and not failed):
        return None
    recent = tuple(at for at in restarts if at > now - policy.within)
    if len(recent) >= policy.max_restarts:
        return Exhausted(len(recent), policy.within)
    nth = len(recent) + 1 if failed else 1
    return Again(backoff(policy.base, policy.cap, nth, f"{seed}:{now}"), (*recent, now))
