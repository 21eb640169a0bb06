"""Who is dead: a pure judgement over what one observer saw, with the clock passed in.

A worker is dead when it was silent on NATS *and* in Postgres for a whole lease, as seen by an observer that could
itself see both for that whole lease. So an observer keeps account of its own sight, too: each ``Line`` is proven by a
probe (its own heartbeat come back, a reading of the table), and what is proven is proven as of the moment the probe was
*sent*. An observer that was stopped, or cut off, finds a gap between its probes and starts over; it never takes its own
absence for somebody else's silence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


class Line:
    """One way of hearing of workers. ``since`` is when the present unbroken sight began; ``None`` if there is none."""

    def __init__(self, gap: float) -> None:
        self._gap = gap
        self._horizon = 0.0
        self.since: float | None = None

    def proven(self, begun: float, now: float) -> None:
        """A probe that was sent at ``begun`` has come back at ``now``: all that was said before ``begun`` was heard."""
        if self.since is None or begun - self._horizon > self._gap:
            self.since = now
        self._horizon = begun

    def lost(self) -> None:
        """The connection broke."""
        self.since = None

    def silence(self, last: float) -> float:
        """Seconds for which the line was in sight without a break and carried nothing new after ``last``."""
        return 0.0 if self.since is None else self._horizon - max(last, self.since)


@dataclass(slots=True)
class Sign:
    """The last signs of one worker: its mark in Postgres, when that last changed, and when NATS last carried a beat."""

    mark: object
    changed: float
    heard: float


class Judge:
    """All times are seconds of one monotonic clock; ``lease`` is the silence that means death."""

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self.nats = Line(lease / 2)
        self.postgres = Line(lease / 2)
        self._signs: dict[str, Sign] = {}

    def heard(self, worker: str, now: float) -> None:
        """A heartbeat of ``worker`` came over NATS. A worker that Postgres has not told of yet is none of ours."""
        sign = self._signs.get(worker)
        if sign is not None:
            sign.heard = now

    def read(self, marks: Mapping[str, object], begun: float, now: float) -> None:
        """The living workers with their marks (``beat_at``), as Postgres had them at some time after ``begun``."""
        signs: dict[str, Sign] = {}
        for worker, mark in marks.items():
            sign = self._signs.get(worker) or Sign(mark, now, now)
            if sign.mark != mark:
                sign.mark, sign.changed = mark, now
            signs[worker] = sign
        self._signs = signs
        self.postgres.proven(begun, now)

    def dead(self) -> dict[str, object]:
        """The workers that were silent on both lines for a lease, with the marks that were seen."""
        return {worker: sign.mark for worker, sign in self._signs.items() if self._silent(sign)}

    def due(self) -> float:
        """The time before which nobody can be dead, if no more is heard; infinite while a line is out of sight."""
        if self.nats.since is None or self.postgres.since is None:
            return math.inf
        first = min((max(sign.changed, sign.heard) for sign in self._signs.values()), default=math.inf)
        return max(first, self.nats.since, self.postgres.since) + self._lease

    def _silent(self, sign: Sign) -> bool:
        return self.postgres.silence(sign.changed) >= self._lease and self.nats.silence(sign.heard) >= self._lease
