"""Looking after what is in hand, again and again; while nothing is, nobody is woken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from trunkline.bus.consume import Delivery


class Attending:
    """``look`` is called every ``every`` seconds from ``begin`` on, until it says that nothing is in hand any more."""

    def __init__(self, every: float, look: Callable[[], bool]) -> None:
        self._every, self._look = every, look
        self._needed = asyncio.Event()

    def begin(self) -> None:
        """Something is in hand. May be called for each thing: it costs next to nothing."""
        self._needed.set()

    async def run(self) -> NoReturn:
        while True:
            await self._needed.wait()
            await asyncio.sleep(self._every)
            if not self._look():
                self._needed.clear()


def keeping(in_hand: Callable[[], Collection[Delivery]], ack_wait: float) -> Attending:
    """Tells the server that what is in hand is in progress, thrice in the ``ack_wait`` (seconds) of its consumer."""

    def look() -> bool:
        deliveries = in_hand()
        for delivery in deliveries:
            delivery.in_progress()
        return bool(deliveries)

    return Attending(ack_wait / 3, look)
