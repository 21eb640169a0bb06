"""Notices that this process was away: stopped, blocked, or at the end of a silent line.

Meanwhile the broker may have given others what lies here, and they may be done with it. No message tells: for the
broker, what it sent here and never heard of is a first delivery. (The sleep of a whole machine may not be noticed: the
monotonic clock stands still meanwhile.)
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class Absence:
    """``tick`` is called whenever a heartbeat of this process came back to it over the bus, several times in
    ``ack_wait``: the silence (in seconds) after which the broker asks others.
    """

    def __init__(self, ack_wait: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ack_wait, self._clock = ack_wait, clock
        self._ticked = clock()  # an absence before the first tick counts as well
        self._returned = -math.inf

    def tick(self) -> None:
        """This process is at work, and hears and is heard."""
        self._ticked = self._look()

    def casts_doubt_on(self, received_at: float) -> bool:
        """Whether what was received then (monotonic) may have been given to others while this process was away."""
        self._look()
        return received_at <= self._returned + self._ack_wait

    def since(self, moment: float) -> bool:
        """Whether this process was away at some time after ``moment`` (monotonic)."""
        self._look()
        return self._returned >= moment

    def _look(self) -> float:
        now = self._clock()
        if now - self._ticked > self._ack_wait * 2 / 3:
            self._returned = now
        return now
