"""Whether those that were let begin something are still alive: from then on everybody's heartbeats are listened to.

A worker that let nobody begin need not know, and is not woken by the beats of a whole exchange.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from trunkline.bus.connection import Bus, CoreMessage, Subscription
from trunkline.domain.errors import Unavailable

MOST = 10_000  # workers that are kept in mind; of more, only those that are alive


class Hearing:
    """``lease`` is the silence, in seconds, after which somebody is taken for dead."""

    def __init__(self, bus: Bus, lease: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._bus, self._lease, self._clock = bus, lease, clock
        self._heard: dict[str, float] = {}
        self._listening = False
        self._subscription: Subscription | None = None

    async def attend(self, worker: str) -> None:
        """``worker`` is alive now: it has just asked. Listen to it from now on."""
        self._heard[worker] = self._clock()
        if len(self._heard) > MOST:
            self._heard = {one: at for one, at in self._heard.items() if not self.silent(one)}
        if not self._listening:
            self._listening = True
            with suppress(Unavailable):  # this process is closing its connection
                self._subscription = await self._bus.subscribe(self._bus.subjects.heartbeat("*"), self._hear)

    def silent(self, worker: str) -> bool:
        """Whether ``worker`` was not heard of for a lease, or never."""
        return self._clock() - self._heard.get(worker, float("-inf")) >= self._lease

    async def forget(self) -> None:
        """Listen to nobody any more: nothing that somebody was let begin is held here."""
        self._heard.clear()
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            self._listening = False
            await subscription.unsubscribe()

    async def _hear(self, message: CoreMessage) -> None:
        worker = message.subject.rpartition(".")[2]
        if worker in self._heard:
            self._heard[worker] = self._clock()
