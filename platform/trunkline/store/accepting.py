"""Acceptance in groups, for many callers at once: one commit at a time, and each takes all that has gathered.

A commit starts as soon as the last one has ended, so a lone caller waits for nobody, and a thousand share a few
commits. What is wrong with one caller's letters is that caller's alone:

* what cannot be encoded does not get into a group, and what the statement refuses (an instance without room, a run that
  has ended) keeps out its own unit;
* data that Postgres will not take is found by halves;
* whoever repeats what somebody else's open transaction holds (``accept_in``) would have everybody wait for that: after
  ``LOCKED`` it is found by halves too, and waits aside, on a connection of the pool.

Who waits is not bounded here: it is a caller of this process, who holds the letter in memory anyway.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import psycopg

from trunkline.domain.mail import Accepted, Envelope
from trunkline.observe import faults, metrics
from trunkline.store.accept import Batch, Outcome, accept_letters, post
from trunkline.store.database import Database, Unreachable
from trunkline.store.failures import passes
from trunkline.store.own_connection import OwnConnection
from trunkline.store.post import Letter, encode
from trunkline.store.statement import SESSION

LETTERS, BYTES = 512, 16 * 1024 * 1024  # of one commit, but for a single caller's
ASIDE = 64  # callers that wait for somebody else's transaction, each on its own
LOCKED = "250ms"  # that a group waits for a lock
_SESSION = {**SESSION, "lock_timeout": LOCKED}
_LOCKED = "55P03"
_CLOSED = "the way in is closed"


@dataclass(slots=True, eq=False)
class Unit:
    """One caller's letters."""

    letters: list[Letter]
    done: asyncio.Future[list[Accepted]]
    keys: set[tuple[str, str]] = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.keys = {(letter.instance, letter.message_id) for letter in self.letters}
        self.size = sum(len(letter.body) for letter in self.letters)

    def settle(self, outcome: Outcome | BaseException) -> None:
        if self.done.done():  # whoever waited has gone; what was accepted stays so
            return
        if isinstance(outcome, BaseException):
            self.done.set_exception(outcome)
        else:
            self.done.set_result(outcome)


class Accepting:
    """``accept`` for many. With ``most``, an instance where so many letters wait is full."""

    def __init__(self, db: Database, *, most: int | None = None) -> None:
        self._db, self._most = db, most
        self._waiting: deque[Unit] = deque()
        self._aside: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._own = OwnConnection(db, _SESSION)
        db.closing.append(self.close)

    async def accept(self, envelopes: Sequence[Envelope]) -> list[Accepted]:
        """Commit ``envelopes`` in their order, all or none, and say of each what became of it.

        Raises:
            BadKey, NotJson, RunEnded, UnknownRun, MailboxFull, Unreachable: as ``store.accept.accept``.
        """
        unit = Unit(list(map(encode, envelopes)), asyncio.get_running_loop().create_future())
        self._waiting.append(unit)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="accepting")
        return await unit.done

    async def close(self) -> None:
        """End what is under way; whoever still waits hears that Postgres is out of reach."""
        tasks = [*self._aside, *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while self._waiting:
            self._waiting.popleft().settle(Unreachable(reason=_CLOSED))
        await self._own.close()

    # --- gathering --------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._commit(self._gather())
        finally:
            self._task = None

    def _gather(self) -> list[Unit]:
        """What one commit can take, in the order in which it came. What repeats a letter of the group waits for the
        next, and finds it accepted.
        """
        group: list[Unit] = []
        put_off: list[Unit] = []
        taken: set[tuple[str, str]] = set()
        letters = size = 0
        while self._waiting and letters < LETTERS and size < BYTES:
            unit = self._waiting.popleft()
            if not taken.isdisjoint(unit.keys):
                put_off.append(unit)
                continue
            taken |= unit.keys
            letters += len(unit.letters)
            size += unit.size
            group.append(unit)
        self._waiting.extendleft(reversed(put_off))
        return group

    # --- committing -------------------------------------------------------------------------------------------------

    async def _commit(self, group: list[Unit]) -> None:
        """Settle every unit of ``group``, or put it aside."""
        try:
            await self._settle(group)
        except asyncio.CancelledError:
            for unit in group:
                unit.settle(Unreachable(reason=_CLOSED))
            raise

    async def _settle(self, group: Sequence[Unit]) -> None:
        try:
            outcomes = await self._write(group)
        except Unreachable as error:
            for unit in group:
                unit.settle(error)
        except Exception as error:  # noqa: BLE001 - it is its caller's, who is found by halves
            await self._halve(group, error)
        else:
            metrics.accept_group.observe(len(group))
            for unit, outcome in zip(group, outcomes, strict=True):
                unit.settle(outcome)

    async def _halve(self, group: Sequence[Unit], error: Exception) -> None:
        if len(group) > 1:
            middle = len(group) // 2
            await self._settle(group[:middle])
            await self._settle(group[middle:])
        elif _locked(error) and len(self._aside) < ASIDE:
            task = asyncio.create_task(self._wait_aside(group[0]), name="accepting aside")
            self._aside.add(task)
            task.add_done_callback(self._aside.discard)
        elif _locked(error):
            group[0].settle(Unreachable(reason=f"{ASIDE} wait for others' transactions already"))
        else:
            group[0].settle(error)

    async def _wait_aside(self, unit: Unit) -> None:
        try:
            unit.settle(await accept_letters(self._db, unit.letters, self._most))
        except asyncio.CancelledError:
            unit.settle(Unreachable(reason=_CLOSED))
            raise
        except Exception as error:  # noqa: BLE001 - told to whoever asked
            unit.settle(error)

    async def _write(self, group: Sequence[Unit]) -> list[Outcome]:
        """What became of each. When the answer to the commit is lost it is asked for again, once.

        Raises:
            Unreachable: Postgres is away.
            Exception: Postgres does not take it.
        """
        batch = Batch([unit.letters for unit in group], self._most)
        try:
            outcomes = await self._sent(batch, again=False)
        except Unreachable as error:
            if not error.sent:
                raise
            outcomes = await self._sent(batch, again=True)
        await faults.reach("mailbox-committed")
        return outcomes

    async def _sent(self, batch: Batch, *, again: bool) -> list[Outcome]:
        sent = False
        try:
            connection = await self._own.get()
            sent, planned = True, self._own.planned(connection)
            outcomes = await post(connection, batch, self._db.schema, again=again, planned=planned)
        except (psycopg.Error, OSError) as error:
            if not passes(error) or _locked(error):
                raise
            await self._own.close()
            raise self._db.gone(error, sent=sent) from error
        except asyncio.CancelledError:
            await self._own.close()
            raise
        self._db.back()
        return outcomes


def _locked(error: BaseException) -> bool:
    return isinstance(error, psycopg.Error) and error.sqlstate == _LOCKED
