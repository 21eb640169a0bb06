"""The appender: the one way into the journal. One a process, and every commit takes all that has gathered.

A commit starts as soon as the last one has ended. One statement writes the appends of many instances; each passes its
own fence or is refused alone. Errors are told apart by what they mean:

* the fence did not match: ``Fenced`` for that append, and for those behind it;
* data that Postgres will not take: the group is bisected, and only the append that holds it gets ``AppendRefused``;
* a deadlock, a server that is away, an answer that was lost: the same group is sent again, for ever, with capped
  delays. An append that is then refused is looked up in the journal: if its entries stand there, it was committed.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg

from trunkline.domain.errors import AppendRefused, Fenced, TrunklineError
from trunkline.engine.fairness import FairQueue
from trunkline.observe import faults, logs, metrics
from trunkline.store.changes import Append, ApprovalAsked, BondMade, DeadLetter, RunChange, SnapshotMade, TimerSet
from trunkline.store.database import Database, Unreachable
from trunkline.store.failures import passes, reason, rolled_back
from trunkline.store.group import Group, Item, Then
from trunkline.store.own_connection import OwnConnection
from trunkline.store.sql import append_statement, standing_statement
from trunkline.store.statement import SESSION

__all__ = [
    "Append", "AppendStats", "Appender", "ApprovalAsked", "BondMade", "DeadLetter", "RunChange", "SnapshotMade",
    "TimerSet",
]  # fmt: skip

log = logs.get("store")

MAX_GROUP_BYTES = 16 * 1024 * 1024
SHARE = 32  # appends of one instance, after which the next instance has its turn
_FIRST_DELAY, _MAX_DELAY = 0.02, 1.0

_NOT_DATA_OF_OURS = (psycopg.Error, ValueError, TypeError, AttributeError)


@dataclass(slots=True)
class AppendStats:
    """Counts since the start. ``waiting`` appends have been submitted and are not settled."""

    groups: int = 0
    appends: int = 0
    entries: int = 0
    fenced: int = 0
    refused: int = 0
    retries: int = 0
    waiting: int = 0


Wake = Callable[[str, str, str], None]  # tenant, agent, instance


class Appender:
    """Takes up to ``max_batch`` appends into one commit. ``wake`` is told whom it wrote to because a run ended."""

    def __init__(self, db: Database, *, max_batch: int = 512, wake: Wake | None = None) -> None:
        self.stats = AppendStats()
        self._db = db
        self._wake = wake
        self._max_batch = max_batch
        self._queue: FairQueue[Item] = FairQueue(SHARE)
        self._group: list[Item] = []
        self._filled = asyncio.Event()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._own = OwnConnection(db, SESSION)

    @property
    def backlogged(self) -> bool:
        """Whether more instances wait to be written than the next commit can take."""
        return self._queue.lanes > self._max_batch

    def start(self) -> asyncio.Task[None]:
        """Begin to commit. What was submitted before waited. The task ends after ``close``, else only by a fault."""
        self._task = asyncio.create_task(self._run(), name="appender")
        return self._task

    async def close(self, grace: float = 5.0) -> None:
        """Commit what was submitted, for at most ``grace`` seconds and only while Postgres answers; fail the rest."""
        self._closing.set()
        self._filled.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=grace)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._fail_all(Unreachable(reason="the appender is closed"))

    async def append(self, append: Append) -> None:
        """Submit, and wait until it is committed.

        Raises:
            Fenced: the instance is not at this owner, epoch and head (or an append before this one was refused).
            AppendRefused: Postgres does not take the data.
            NotJson, BadKey: it cannot even be encoded.
            Unreachable: the appender was closed first.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.submit(append, partial(_end, done))
        await done

    def submit(self, append: Append, then: Then) -> None:
        """Hand over without waiting: ``then`` is called with no error when it is committed, else with what ``append``
        would raise; never before this returns. (A future for each would cost more than writing its rows.)
        """
        try:
            if self._closing.is_set():
                raise Unreachable(reason="the appender is closed")
            item = Item(append, then)
        except (TrunklineError, ValueError, TypeError, AttributeError) as error:
            asyncio.get_running_loop().call_soon(then, error)
            return
        self._queue.put(append.instance, item)
        self.stats.waiting += 1
        self._filled.set()

    # --- gathering --------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            with contextlib.suppress(Unreachable):  # closed while Postgres was away
                while len(self._queue) or not self._closing.is_set():
                    if len(self._queue):
                        self._group = self._gather()
                        await self._commit(self._group)
                        self._group = []  # while nothing comes, memory must not be kept for it
                    else:
                        self._filled.clear()
                        await self._filled.wait()
        except Exception:
            log.exception("the appender came to an end")
            raise
        finally:
            self._closing.set()
            self._fail_all(Unreachable(reason="the appender is closed"))
            await self._own.close()

    def _gather(self) -> list[Item]:
        """What one commit can take, in fair turns: appends of one instance only as far as each follows the one before;
        one that does not waits, with all behind it, for the next commit.
        """
        newest: dict[str, Item] = {}
        size = 0

        def admit(item: Item) -> bool:
            nonlocal size
            instance = item.append.instance
            before = newest.get(instance)
            if size >= MAX_GROUP_BYTES or (before is not None and not item.follows(before)):
                return False
            newest[instance] = item
            size += item.size
            return True

        return self._queue.take(self._max_batch, admit)

    # --- committing -------------------------------------------------------------------------------------------------

    async def _commit(self, items: Sequence[Item]) -> None:
        """Settle every item: together, or in halves when there is data among them that Postgres will not take."""
        try:
            group = Group(items)
            passed = await self._write(group)
        except _NOT_DATA_OF_OURS as error:
            await self._bisect(items, error)
            return
        for k, chain in enumerate(group.chains, 1):
            for item in chain:
                if item.settled:
                    continue
                if k in passed:
                    self._settle(item, None)
                else:
                    self._refuse(item, fenced(item.append), chain)

    async def _bisect(self, items: Sequence[Item], error: BaseException) -> None:
        if len(items) == 1:
            append = items[0].append
            self._refuse(items[0], AppendRefused(instance=append.instance, reason=reason(error)), self._group)
            return
        ordered = sorted(items, key=lambda item: item.append.instance)
        middle = len(ordered) // 2
        await self._commit(ordered[:middle])
        rest = [item for item in ordered[middle:] if not item.settled]
        if rest:
            await self._commit(rest)

    async def _write(self, group: Group) -> set[int]:
        """The numbers of the chains that are committed, once the server has said so."""
        statement = append_statement(group.parts)
        delay, uncertain = _FIRST_DELAY, False
        while True:
            began = time.perf_counter()
            try:
                await self._own.get()
                await faults.reach("commit-begun")
                answer = await self._own.rows(statement, group.parameters)
                await faults.reach("commit-sent")
                passed = {row[0] for row in answer if row[0]}
                if uncertain and len(passed) < len(group.chains) and group.entries:
                    passed |= {row[0] for row in await self._own.rows(standing_statement(), group.parameters)}
            except (psycopg.Error, OSError) as error:
                if not passes(error):
                    raise
                uncertain = True
                await self._pause(error, delay)
                delay = min(delay * 2, _MAX_DELAY)
            else:
                self._count(group, passed, time.perf_counter() - began)
                self._wake_told(answer)
                return passed

    def _wake_told(self, answer: Sequence[tuple[Any, ...]]) -> None:
        if self._wake is not None:
            for address in {tuple(row[1:]) for row in answer if not row[0]}:
                self._wake(*address)

    async def _pause(self, error: BaseException, delay: float) -> None:
        self.stats.retries += 1
        if not isinstance(error, psycopg.Error) or not rolled_back(error):
            if self._own.made:
                log.warning("a commit failed; it is sent again until it is through", reason=reason(error))
            await self._own.close()
        if self._closing.is_set():
            raise Unreachable(reason=reason(error))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), delay)

    # --- settling ---------------------------------------------------------------------------------------------------

    def _settle(self, item: Item, error: BaseException | None) -> None:
        item.settled = True
        self.stats.waiting -= 1
        try:
            item.then(error)
        except Exception:  # whoever was told must not take the appender, and so everybody else, along
            log.exception("what follows a commit failed", instance=item.append.instance)

    def _refuse(self, item: Item, error: TrunklineError, beside: Sequence[Item]) -> None:
        """``beside`` are those of the same commit that may have been submitted on top of ``item``."""
        append = item.append
        behind = [
            one for one in (*beside, *self._queue.lane(append.instance)) if one is not item and one.on_top_of(item)
        ]
        self._settle(item, error)
        if isinstance(error, Fenced):
            self.stats.fenced += 1
        else:
            self.stats.refused += 1
        for one in behind:
            self.stats.fenced += 1
            self._settle(one, fenced(one.append))
        if behind:
            self._queue.remove(append.instance, lambda one: one.settled)

    def _fail_all(self, error: Unreachable) -> None:
        left = [item for item in (*self._group, *self._queue) if not item.settled]
        self._queue.clear()
        for item in left:
            self._settle(item, error)

    def _count(self, group: Group, passed: set[int], seconds: float) -> None:
        chains = [group.chains[k - 1] for k in passed]
        appends = sum(map(len, chains))
        entries = sum(chain[-1].end - chain[0].append.expected for chain in chains)
        self.stats.groups += 1
        self.stats.appends += appends
        self.stats.entries += entries
        metrics.commit_appends.observe(appends)
        metrics.commit_entries.observe(entries)
        metrics.commit_seconds.observe(seconds)


def _end(done: asyncio.Future[None], error: BaseException | None) -> None:
    if done.done():  # its waiter was cancelled; what was handed over is not taken back
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)


def fenced(append: Append) -> Fenced:
    return Fenced(instance=append.instance, epoch=append.epoch, head=append.expected)
