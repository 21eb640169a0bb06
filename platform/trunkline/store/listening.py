"""A connection that goes on listening to its socket while it is asked again and again.

psycopg begins to listen for each answer, and ends it when that is there. With uvloop both are a handful of system
calls, which together take as long as all else that a small statement costs its process.
"""

from __future__ import annotations

import asyncio
import select
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.waiting import READY_R, WAIT_R

T = TypeVar("T")


class ListeningConnection(psycopg.AsyncConnection[Any]):
    """For one task that owns it: when that is cancelled in the midst of a statement the connection is closed."""

    _socket: int | None = None  # that is listened to
    _health: select.poll | None = None  # of that socket
    _arrived: asyncio.Future[None] | None = None

    async def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:  # noqa: ASYNC109
        """Consume ``gen`` as psycopg's own does, which is asked for whatever is not plain reading."""
        try:
            state = next(gen)
            while state == WAIT_R and timeout is None:
                await self._arrival()
                state = gen.send(READY_R)
        except StopIteration as ended:
            answer: T = ended.value
            return answer
        except asyncio.CancelledError:
            await self.close()
            raise
        except BaseException:
            self._stop_listening()  # at once: libpq may have closed the socket, whose number may become another's
            raise
        self._stop_listening()
        return await super().wait(_from(state, gen), interval, timeout)

    async def close(self) -> None:
        self._stop_listening()
        await super().close()

    async def _arrival(self) -> None:
        loop = asyncio.get_running_loop()
        self._arrived = loop.create_future()
        if self._health is not None and self._health.poll(0):
            self._stop_listening()  # uvloop tells of a broken socket once, and no more
        if self._socket is None:
            self._listen(loop)
        try:
            await self._arrived
        finally:
            self._arrived = None

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        self._socket = self.pgconn.socket
        loop.add_reader(self._socket, self._on_arrival)
        self._health = select.poll()
        self._health.register(self._socket, 0)  # whether it is broken is always told

    def _on_arrival(self) -> None:
        if self._arrived is None:
            self._stop_listening()  # a notice, or the end: the next answer will tell
        elif not self._arrived.done():
            self._arrived.set_result(None)

    def _stop_listening(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket = self._health = None


def _from(state: Any, gen: PQGen[T]) -> PQGen[T]:
    """``gen`` once more, that waits for ``state`` just now."""
    try:
        while True:
            state = gen.send((yield state))
    except StopIteration as ended:
        answer: T = ended.value
        return answer
