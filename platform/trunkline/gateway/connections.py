"""New connections are taken in many at a time.

uvloop takes in one of them in each turn of its loop. A turn in which thousands of requests are answered is long, so
whoever only just connects would wait for many seconds, even if it is to be refused. asyncio's own loops take in all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from socket import socket

BACKLOG = 65_535  # connections that wait to be taken in; the system has its own bound (net.core.somaxconn)
AT_ONCE = 128  # in one turn of the loop
AGAIN = 1.0  # seconds until it is tried again when none can be taken in (no file descriptor is left)


class Connections:
    """Takes in what connects to ``listening``, beside the server that made these; each gets a ``protocol``."""

    def __init__(self, listening: Iterable[socket], protocol: Callable[[], asyncio.Protocol]) -> None:
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        of_itself = isinstance(self._loop, asyncio.BaseEventLoop)
        self._sockets = [] if of_itself else [one.dup() for one in listening]
        self._tasks: set[asyncio.Task[None]] = set()
        for one in self._sockets:
            one.setblocking(False)
            self._listen(one)

    def close(self) -> None:
        """Take in no more."""
        for one in self._sockets:
            self._loop.remove_reader(one.fileno())
            one.close()

    def _listen(self, listening: socket) -> None:
        if listening.fileno() >= 0:
            self._loop.add_reader(listening.fileno(), self._take_in, listening)

    def _take_in(self, listening: socket) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                self._loop.remove_reader(listening.fileno())
                self._loop.call_later(AGAIN, self._listen, listening)
                return
            connection.setblocking(False)
            task = self._loop.create_task(self._serve(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:  # it is gone already
            connection.close()
