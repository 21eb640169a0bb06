"""Looks once more at runs that something was bound to: one query for all that gathered, and wakes for who is told."""

from __future__ import annotations

import asyncio

from trunkline.domain.errors import Unavailable
from trunkline.observe import logs
from trunkline.store import bonds
from trunkline.store.database import Database
from trunkline_workers.agent.dispatch import Dispatch

log = logs.get("bonds")

BATCH = 500


class Bonds:
    """One a worker."""

    def __init__(self, db: Database, dispatch: Dispatch) -> None:
        self._db, self._dispatch = db, dispatch
        self._runs: dict[str, None] = {}
        self._task: asyncio.Task[None] | None = None

    def look(self, run: str) -> None:
        """Tell whoever is bound to ``run`` if it has ended. What is not found here, the supervisor finds."""
        self._runs[run] = None
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look(), name="bonds")

    async def stop(self) -> None:
        """What is being looked at is left to the supervisor."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look(self) -> None:
        while self._runs:
            batch = list(self._runs)[:BATCH]
            for run in batch:
                del self._runs[run]
            try:
                for address in await bonds.settle(self._db, batch):
                    self._dispatch.wake(*address)
            except Unavailable as error:
                log.warning("bonds are left to the supervisor: %s", error)
            except Exception:  # this is only the quicker of two ways
                log.exception("bonds are left to the supervisor")
