"""Events for instances that have no room: they are kept back with growing delays, and given up after a bound.

They stay on the bus meanwhile, and take nothing from others: there is a bound on how many are kept back at once, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from trunkline.bus.consume import Delivery

MOST = 4096  # events kept back by one router; beyond it they are given up at once
TRIES = 12  # deliveries, over about three minutes
_FIRST_DELAY, _LONGEST_DELAY = 0.5, 30.0


class Holding:
    """Which events come again, and when."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[int, float] = {}  # by place in the stream

    def keep_back(self, delivery: Delivery) -> bool:
        """Have it delivered again later; False when it was kept back long enough, or too many are."""
        if delivery.attempts >= TRIES or (len(self._until) >= MOST and not self._room(delivery)):
            self._until.pop(delivery.stream_seq, None)
            return False
        delay = min(_FIRST_DELAY * 2.0 ** (delivery.attempts - 1), _LONGEST_DELAY)
        self._until[delivery.stream_seq] = self._clock() + delay
        delivery.nak(delay)
        return True

    def _room(self, delivery: Delivery) -> bool:
        """Whether there is room once those that came again are forgotten."""
        now = self._clock()
        self._until = {seq: until for seq, until in self._until.items() if until > now}
        return len(self._until) < MOST or delivery.stream_seq in self._until
