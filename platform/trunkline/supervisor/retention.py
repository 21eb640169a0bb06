"""Removes what has ended and is older than the policy says: journals, runs, mail, and what belonged to them.

It works in small batches, and rests after each for as long as that took: at most half of one connection is its own. A
batch that takes too long is made smaller. Without a policy (``retention_days`` is 0) it only deletes what erasures left
behind.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable
from typing import NoReturn

from trunkline.domain.errors import ErasureRefused, RetentionRefused, TookTooLong
from trunkline.domain.ids import FIRST_ID
from trunkline.observe import faults, logs, metrics
from trunkline.settings import Settings
from trunkline.store import erasure, retention
from trunkline.store.database import Database
from trunkline.store.retention import Old
from trunkline.supervisor.supervise import rest

log = logs.get("supervisor")

DAY = 86400.0
LARGEST, SMALLEST = 500, 5  # rows in one batch
PAGE = 50  # runs that are looked at together
MOST_UNSOUND = 10_000  # instances that one look keeps in mind
LONGEST_REST = 1.0  # seconds


class Retention:
    """One look every ``retention_every`` seconds."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db, self._settings = db, settings
        self._age = settings.retention_days * DAY
        self._batch = LARGEST

    async def run(self) -> NoReturn:
        while True:
            try:
                await self.purge()
                if self._age:
                    await self.look()
            except (RetentionRefused, ErasureRefused) as error:
                log.warning("nothing is removed", reason=str(error))
            except TookTooLong as error:
                self._batch = max(self._batch // 2, SMALLEST)
                log.warning("batches are made smaller", reason=str(error), rows=self._batch)
            await rest(self._settings.retention_every)

    async def purge(self) -> None:
        """Delete what is left of the journals of erased instances.

        Raises:
            ErasureRefused: this database role may not.
        """
        began = time.monotonic()
        while await erasure.purge(self._db):
            await rest(min(time.monotonic() - began, LONGEST_REST))
            began = time.monotonic()

    async def look(self) -> None:
        """Remove all that is old enough.

        Raises:
            RetentionRefused: this database role may not remove.
            TookTooLong: a batch was given up.
            Unreachable: Postgres is away.
        """
        unsound: set[str] = set()
        async for page in self._pages():
            await self._forget(page, unsound)
        async for lasting in self._lasting():
            await self._shorten(lasting)
        after: int | None = 0
        while after is not None:
            began = time.monotonic()
            removed, after = await retention.forget_mail(self._db, self._age, self._batch, after=after)
            await _told("mail", removed, began)
        for what in retention.REST:
            while await self._removed(what, retention.forget(self._db, what, self._age, self._batch)):
                pass

    async def _pages(self) -> AsyncIterator[list[Old]]:
        last: Old | None = None
        while page := await retention.ended(self._db, self._age, PAGE, after=last):
            yield page
            last = page[-1]

    async def _lasting(self) -> AsyncIterator[list[str]]:
        """Runs that do not end, and begin anew instead."""
        after = FIRST_ID
        while page := await retention.lasting(self._db, PAGE, after=after):
            yield [run for run, _ in page]
            after = page[-1][1]

    async def _forget(self, page: list[Old], unsound: set[str]) -> None:
        """The journals' beginnings, and then the runs that were in them. Of instances in ``unsound`` nothing can go now
        (a run is open, and allows no snapshot): their journals are read once in a look, and not for every page.
        """
        left = [old for old in page if old.instance not in unsound]
        sound = await self._shorten([old.run for old in left]) if left else []
        if len(unsound) >= MOST_UNSOUND:
            unsound.clear()
        unsound.update({old.instance for old in left}.difference(sound))
        await self._removed("runs", retention.forget_runs(self._db, [old.run for old in page]))

    async def _shorten(self, runs: list[str]) -> list[str]:
        """Returns the instances whose journals may be shortened."""
        instances = await retention.remember(self._db, runs)
        each = max(self._batch // max(len(instances), 1), 1)
        while instances and await self._removed("journal", retention.shorten(self._db, instances, self._age, each)):
            await faults.reach("journal-shortened")
        return instances

    @staticmethod
    async def _removed(what: str, removing: Awaitable[int]) -> int:
        began = time.monotonic()
        removed = await removing
        await _told(what, removed, began)
        return removed


async def _told(what: str, removed: int, began: float) -> None:
    if removed:
        metrics.removed.labels(kind=what).inc(removed)
        await rest(min(time.monotonic() - began, LONGEST_REST))
