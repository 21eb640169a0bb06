"""One call after the other has its turn: a step of one call in each turn of the event loop, however many could go on.

A step inside litellm takes milliseconds. When a thousand calls begin, or are answered, at the same moment, the loop
would go through them all before it looks at anything else, and a worker that sends no heartbeat for a second is taken
for dead: its calls are made, and paid for, again. In between two steps the loop sees to sockets, timers and the rest.
"""

from __future__ import annotations

import asyncio
import types
from collections import deque
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


class Turns:
    """Shared by all calls of a process; first come, first served."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._taken = False  # by somebody, in this turn of the loop or for those that wait

    async def paced(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What ``coroutine`` returns or raises; each of its steps, from one wait to the next, waits for a turn."""
        return await _steps(self, coroutine)

    def one(self) -> Generator[Any, None, None]:
        """Return when it is the caller's turn."""
        loop = asyncio.get_running_loop()
        if not self._taken:
            self._taken = True
            loop.call_soon(self._next, loop)
            return
        turn = loop.create_future()
        self._waiting.append(turn)
        yield from turn

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # or it was cancelled meanwhile
                turn.set_result(None)
                loop.call_soon(self._next, loop)
                return
        self._taken = False


@types.coroutine
def _steps(turns: Turns, coroutine: Coroutine[Any, Any, T]) -> Generator[Any, None, T]:
    """Drive ``coroutine`` as its task would. What is thrown in (a cancellation) need not wait."""
    raised: BaseException | None = None
    while True:
        try:
            if raised is None:
                yield from turns.one()
        except BaseException as error:  # noqa: BLE001 - handed on
            raised = error
        try:
            waited = coroutine.send(None) if raised is None else coroutine.throw(raised)
        except StopIteration as end:
            result: T = end.value
            return result
        raised = None
        try:
            yield waited
        except BaseException as error:  # noqa: BLE001 - handed on
            raised = error
