"""Waiting for rows that somebody else writes: one query for all who wait, soon after a hint, and else now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from trunkline.domain.errors import Unavailable
from trunkline.observe import logs

log = logs.get("polling")

K = TypeVar("K")
V = TypeVar("V")


class Polling(Generic[K, V]):
    """``look`` gets what is waited for, and answers with what is there by now.

    It is asked every ``every`` seconds while somebody waits, and at once after ``hint``; also while Postgres is away.
    What else it raises concerns only the key that it raises it for.
    """

    def __init__(self, look: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], *, every: float) -> None:
        self._look, self._every = look, every
        self._waiting: dict[K, set[asyncio.Future[V | Exception]]] = {}
        self.hints = 0  # so far
        self._hinted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.closed = False

    def close(self) -> None:
        """Let go of everybody who waits: their answer is ``None``."""
        self.closed = True
        for futures in self._waiting.values():
            for future in futures:
                future.cancel()
        self._hinted.set()

    def hint(self) -> None:
        """Something may be there now."""
        self.hints += 1
        self._hinted.set()

    async def wait(self, key: K, timeout: float, looked_at: int = -1) -> V | None:  # noqa: ASYNC109
        """What is there for ``key``, as soon as it is; ``None`` after ``timeout`` seconds, and when this is closed.

        Whoever has looked in vain says how many ``hints`` there had been before: then nobody looks again for it alone
        until there is another.

        Raises:
            Exception: whatever ``look`` raises for this key alone; it is logged.
        """
        if self.closed:
            return None
        future: asyncio.Future[V | Exception] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, set()).add(future)
        if looked_at != self.hints:
            self._hinted.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._poll(), name="polling")
        try:
            await asyncio.wait({future}, timeout=timeout)
        finally:
            self._forget(key, future)
        found = future.result() if future.done() and not future.cancelled() else None
        if isinstance(found, Exception):
            raise found
        return found

    def _forget(self, key: K, future: asyncio.Future[V | Exception]) -> None:
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.discard(future)
            if not waiting:
                del self._waiting[key]

    async def _poll(self) -> None:
        while self._waiting:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hinted.wait(), self._every)
            self._hinted.clear()
            for key, value in (await self._found(list(self._waiting))).items():
                for future in self._waiting.pop(key, ()):
                    if not future.done():
                        future.set_result(value)

    async def _found(self, keys: Sequence[K]) -> Mapping[K, V | Exception]:
        """What is there by now. One of the keys may be at fault when the look fails: it is sought by halves."""
        try:
            return await self._look(keys)
        except Unavailable:
            return {}
        except Exception as error:
            if len(keys) == 1:
                log.exception("what is waited for cannot be told", key=keys[0])
                return {keys[0]: error}
            half = len(keys) // 2
            return {**await self._found(keys[:half]), **await self._found(keys[half:])}
