"""How many instances of each agent wait for a worker, and the bound on it: beyond that no further runs are begun.

What waits in INBOX is what no worker has room for. It costs rows and no memory, and all of it is done in the end; but
accepting ever more would take time from doing it, and everybody would wait longer. Signals and decisions are for what
has begun, and are taken all the same. The numbers are looked up while somebody asks for runs, and on until none of them
refuses anybody: whoever comes after a quiet time is not sent away for what was before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NoReturn

from trunkline.bus import stored
from trunkline.bus.connection import Bus
from trunkline.domain.errors import AgentBusy, Unavailable
from trunkline.observe import metrics

LOOK_EVERY = 0.5  # seconds


class Backlog:
    """``most`` instances of an agent may wait. Before NATS is reached, and while it is away, nothing is known."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: Mapping[str, int] = {}  # by subject
        self._asked = asyncio.Event()
        self._bus: Bus | None = None
        self._task: asyncio.Task[NoReturn] | None = None

    def joined(self, bus: Bus) -> None:
        """NATS was reached."""
        self._bus = bus
        self._task = asyncio.create_task(self._watch(bus), name="backlog")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def check(self, tenant: str, agent: str) -> None:
        """
        Raises:
            AgentBusy: too many wait.
        """
        if self._bus is None:
            return
        self._asked.set()
        if self._waiting and self._waiting.get(self._bus.subjects.inbox(tenant, agent), 0) >= self._most:
            metrics.shed.labels(reason="backlog").inc()
            raise AgentBusy(agent=agent)

    @property
    def _full(self) -> bool:
        """Whether somebody would be refused just now."""
        return any(waiting >= self._most for waiting in self._waiting.values())

    async def _watch(self, bus: Bus) -> NoReturn:
        while True:
            if not self._full:
                await self._asked.wait()
            self._asked.clear()
            try:
                self._waiting = await stored.subjects(bus, "INBOX")
            except Unavailable:
                self._waiting = {}
            await asyncio.sleep(LOOK_EVERY)
