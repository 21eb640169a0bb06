"""Mail that is here is read in fair turns: a few letters of one instance, then of the next; the loop turns in between.

So neither an instance with thousands of letters, nor many at once, hold up those beside them.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation

SHARE = 16  # letters of one instance in its turn
MOST_UNSETTLED = 256  # commits of one instance under way, beyond which its further mail waits
LONGEST = 0.005  # seconds that turns may take before the loop has its own


class Reading:
    """``put`` gives an activation that has unread mail its place in the round; it keeps it until it has none."""

    def __init__(self) -> None:
        self._round: dict[str, Activation] = {}
        self._filled = asyncio.Event()
        self._closed = False

    def put(self, activation: Activation) -> None:
        """Idempotent. An older activation of the same instance has lost its place."""
        if _readable(activation) and not self._closed:
            self._round[activation.lease.instance] = activation
            self._filled.set()

    def close(self) -> None:
        """Read nothing more: what is not read goes to whoever has the instance next."""
        self._closed = True
        self._round.clear()

    async def run(self) -> NoReturn:
        """Read, for ever."""
        while True:
            await self._filled.wait()
            until = time.monotonic() + LONGEST
            while self._round:
                self._turn()
                if time.monotonic() >= until:
                    break
            if not self._round:
                self._filled.clear()
            await asyncio.sleep(0)

    def _turn(self) -> None:
        instance = next(iter(self._round))
        activation = self._round.pop(instance)
        for _ in range(SHARE):
            if _readable(activation):
                letter = activation.tray.next()
                activation.act(partial(activation.take, letter), letters=(letter.seq,))
        self.put(activation)


def _readable(activation: Activation) -> bool:
    return bool(activation.tray) and not activation.closed and activation.unsettled < MOST_UNSETTLED
