"""Whether the streams are still the same: who keeps looking, and makes them again when NATS has lost them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from trunkline.bus.subjects import Stream
from trunkline.bus.topology import DURABLE, Topology
from trunkline.domain.errors import TopologyDrift, Unavailable

log = logging.getLogger(__name__)

WATCH_EVERY = 10.0  # seconds between two looks that nothing gave cause to
AGAIN_AFTER = 2.0  # seconds from a look that came to nothing to the next
BURST = 0.1  # seconds in which causes count as one
ISSUED = frozenset({Stream.WORK, Stream.REPLY})  # what lies there somebody waits for, and can issue again

Wiped = Callable[[], Awaitable[None]]


class Watch:
    """Looks every ``WATCH_EVERY`` seconds, and closely when there is cause. ``renew`` is called when some streams were
    made again, and then all of ``wiped`` if what was lost there somebody waits for.
    """

    def __init__(self, topology: Topology, connected: Callable[[], bool], renew: Callable[[], None]) -> None:
        self.wiped: list[Wiped] = []
        self._topology, self._connected, self._renew = topology, connected, renew
        self._lost: set[Stream] = set()  # until all that follows from it is done
        self._suspicion = asyncio.Event()
        self._unsure = False  # a close look is due, and did not go through yet
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look, if that has not begun."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep_looking(), name="bus topology")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def suspect(self) -> None:
        """There is cause to look at everything soon."""
        self._suspicion.set()

    async def _keep_looking(self) -> None:
        """For ever: whatever goes wrong with one look, NATS may be wiped after it."""
        while True:
            suspicious = await self._pause()
            if not self._connected():
                continue
            try:
                if suspicious or self._unsure or not await self._topology.intact():
                    self._unsure = True
                    await self._look()
                    self._unsure = False
            except Unavailable as error:
                log.warning("the streams cannot be watched: %s", error)
            except Exception:
                log.exception("a look at the streams failed")

    async def _pause(self) -> bool:
        """Wait for the next look; true when something gave cause to look at everything."""
        try:
            async with asyncio.timeout(AGAIN_AFTER if self._unsure else WATCH_EVERY):
                await self._suspicion.wait()
        except TimeoutError:
            return False
        self._suspicion.clear()
        await asyncio.sleep(BURST)
        return True

    async def _look(self) -> None:
        self._lost.update([each for each in Stream if await self._topology.replaced(each)])
        if self._lost:
            await self._restore()

    async def _restore(self) -> None:
        try:
            await self._topology.declare()
        except TopologyDrift as error:  # all are in place even so
            log.warning("a stream is not as it should be: %s", error)
        self._renew()
        lost, self._lost = self._lost, set()
        if not lost & set(DURABLE):
            return
        log.warning("NATS lost %s and what lay in them; they are declared again", ", ".join(sorted(lost)))
        for callback in self.wiped if lost & ISSUED else ():
            try:
                await callback()
            except Exception:
                log.exception("a callback for a wiped NATS failed")
