"""Deliveries in batches: what arrives while one batch is worked through becomes the next.

Nothing waits for a batch to fill, so a lone delivery is worked on at once, and a flood in large pieces. While whoever
does the work cannot reach what it needs (it raises ``Unavailable``) the batch is kept and tried again, and the server
is told that all that is held here is in progress.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from trunkline.bus.attending import keeping
from trunkline.bus.consume import Delivery
from trunkline.domain.errors import Unavailable

log = logging.getLogger(__name__)

_FIRST_DELAY = 0.05
_LONGEST_DELAY = 1.0
_AFTER_ERROR = 1.0


class Gathering:
    """``work`` gets at most ``most`` deliveries at a time, in their order, and acknowledges them itself.

    A batch whose work raises anything but ``Unavailable`` is handed back, to be delivered again later. ``ack_wait``
    (seconds) is that of the consumer.
    """

    def __init__(
        self, name: str, work: Callable[[Sequence[Delivery]], Awaitable[None]], *, most: int, ack_wait: float
    ) -> None:
        self._name, self._work, self._most = name, work, most
        self._patience = ack_wait / 3
        self._attending = keeping(lambda: (*self._batch, *self._waiting), ack_wait)
        self._waiting: list[Delivery] = []
        self._batch: list[Delivery] = []
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopped = False
        self._tasks: list[asyncio.Task[None]] = []

    def put(self, delivery: Delivery) -> None:
        """Take a delivery; the handler to give to ``Bus.consume``."""
        self._waiting.append(delivery)
        self._arrived.set()
        self._attending.begin()

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._attending.run())]

    async def stop(self) -> None:
        """Finish the batch at hand if that takes no longer than a third of ``ack_wait``, and hand back all else."""
        self._hand_back(self._waiting)
        self._waiting = []
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), self._patience)
        self._stopped = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._hand_back(self._batch)

    async def _run(self) -> None:
        while not self._stopped:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                self._idle.clear()
                self._batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._work_through(self._batch)
                self._batch = []
                self._idle.set()

    async def _work_through(self, batch: Sequence[Delivery]) -> None:
        delay = _FIRST_DELAY
        while not self._stopped:
            try:
                await self._work(batch)
            except Unavailable:
                await asyncio.sleep(delay)
                delay = min(delay * 2, _LONGEST_DELAY)
            except Exception:
                log.exception("%s: a batch of %d failed and is handed back", self._name, len(batch))
                self._hand_back(batch, _AFTER_ERROR)
                return
            else:
                return

    def _hand_back(self, deliveries: Sequence[Delivery], delay: float = 0.0) -> None:
        for delivery in deliveries:
            delivery.nak(delay)
