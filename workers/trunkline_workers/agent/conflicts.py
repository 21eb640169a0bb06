"""Outcomes that came too late: those of unsafe steps are held against what was decided without them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from trunkline.domain.errors import Unavailable
from trunkline.domain.ids import is_id
from trunkline.domain.status import Effect
from trunkline.domain.work import Outcome
from trunkline.observe import logs, metrics
from trunkline.store import conflicts
from trunkline.store.database import Database

log = logs.get("conflicts")

AGAIN_AFTER = 1.0  # seconds


class Conflicts:
    """One a worker."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._tasks: set[asyncio.Task[None]] = set()

    def examine(self, outcome: Outcome, done: Callable[[], None]) -> None:
        """Look at a late outcome, and call ``done`` when nothing of it can be lost any more."""
        unknown = (outcome.error or {}).get("unknown")
        if outcome.effect is not Effect.UNSAFE or unknown or not is_id(outcome.run):
            done()
            return
        task = asyncio.create_task(self._examine(outcome, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """What is being looked at comes again, to somebody else."""
        for task in self._tasks:
            task.cancel()

    async def _examine(self, outcome: Outcome, done: Callable[[], None]) -> None:
        while True:
            try:
                why = await conflicts.examine(self._db, outcome)
                break
            except Unavailable:
                await asyncio.sleep(AGAIN_AFTER)
            except Exception:  # it stays where it is, and comes again to whoever has the instance next
                log.exception("a late outcome cannot be examined", run=outcome.run, step=outcome.step)
                return
        if why:
            log.error("a late outcome contradicts what is recorded", run=outcome.run, step=outcome.step, why=why)
            metrics.dead_letters.labels(source="outcome").inc()
        done()
