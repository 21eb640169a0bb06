"""A time limit for calls that are many and mostly short: all with the same limit share one timer of the loop.

``asyncio.timeout`` sets a timer and takes it back for each, which costs more than all else about a short call.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

_limits: dict[float, _Limit] = {}


async def limited(call: Coroutine[Any, Any, T], seconds: float) -> T:
    """What ``call`` gives within ``seconds``; one that takes longer is cancelled. Not twice at once in one task.

    What ends without having waited for anything has no use for a limit, and gets none.

    Raises:
        TimeoutError: it took longer.
    """
    try:
        awaited = call.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    limit = _limits.get(seconds)
    if limit is None or limit.loop is not loop:
        limit = _limits[seconds] = _Limit(loop, seconds)
    cancelling = task.cancelling()
    limit.begin(task)
    try:
        return await _rest(call, awaited)
    except asyncio.CancelledError:
        if limit.expired(task) and task.uncancel() <= cancelling:
            raise TimeoutError from None
        raise
    finally:
        limit.end(task)


@types.coroutine
def _rest(call: Coroutine[Any, Any, T], awaited: Any) -> Generator[Any, Any, T]:
    """What is left of a coroutine that was begun, and waits for ``awaited``."""
    go_on: Callable[[], Any]
    while True:
        try:
            sent = yield awaited
        except BaseException as error:  # noqa: BLE001 - it is the coroutine's to handle
            go_on = partial(call.throw, error)
        else:
            go_on = partial(call.send, sent)
        try:
            awaited = go_on()
        except StopIteration as end:
            value: T = end.value
            return value


class _Limit:
    """``ends`` are when the tasks under way must have ended, by the loop's time, the soonest first."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self.loop = loop
        self.seconds = seconds
        self.ends: dict[asyncio.Task[Any], float] = {}
        self._expired: set[asyncio.Task[Any]] = set()
        self._waiting = False

    def begin(self, task: asyncio.Task[Any]) -> None:
        self.ends[task] = end = self.loop.time() + self.seconds
        if not self._waiting:
            self._wait(end)

    def expired(self, task: asyncio.Task[Any]) -> bool:
        """Whether this limit cancelled the task; told once."""
        told = task in self._expired
        self._expired.discard(task)
        return told

    def end(self, task: asyncio.Task[Any]) -> None:
        self.ends.pop(task, None)
        if self.expired(task):  # it was cancelled here, and did not mind
            task.uncancel()

    def _wait(self, end: float) -> None:
        self._waiting = True
        self.loop.call_at(end, self._look)

    def _look(self) -> None:
        self._waiting = False
        now = self.loop.time()
        for task, end in list(self.ends.items()):
            if end > now:
                self._wait(end)
                return
            del self.ends[task]
            self._expired.add(task)
            task.cancel()
        if _limits.get(self.seconds) is self:
            del _limits[self.seconds]
