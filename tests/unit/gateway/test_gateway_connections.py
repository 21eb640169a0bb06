"""Connections that come together are taken in together, whatever loop the gateway runs on."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from trunkline.gateway import connections
from trunkline.gateway.connections import AT_ONCE, Connections

MANY = 300


class Server(asyncio.Protocol):
    """Listens as uvicorn does, is the protocol of each connection, and notes the turn in which it was taken in."""

    def __init__(self) -> None:
        self.turn = 0
        self.taken: list[int] = []
        self.all = asyncio.Event()
        self.without_delay: set[int] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.taken.append(self.turn)
        taken_in = transport.get_extra_info("socket")
        self.without_delay.add(taken_in.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        if len(self.taken) == MANY:
            self.all.set()

    def protocol(self) -> asyncio.Protocol:
        return self

    async def hear(self) -> None:
        """Have so many connect before the loop has a turn, and wait until the last one is taken in."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self.protocol, "127.0.0.1", 0, backlog=connections.BACKLOG)
        taking = Connections(server.sockets, self.protocol)
        clients = [socket.create_connection(server.sockets[0].getsockname()[:2]) for _ in range(MANY)]
        turning = asyncio.create_task(self._turn())
        async with asyncio.timeout(10):
            await self.all.wait()
        turning.cancel()
        taking.close()
        server.close()
        for client in clients:
            client.close()

    async def _turn(self) -> None:
        while True:
            self.turn += 1
            await asyncio.sleep(0)


@pytest.mark.parametrize("new_loop", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def test_all_who_connect_together_are_taken_in_within_few_turns(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def told() -> Server:
        server = Server()
        await server.hear()
        return server

    with asyncio.Runner(loop_factory=new_loop) as runner:
        server = runner.run(told())
    assert len(server.taken) == MANY
    assert server.taken[-1] - server.taken[0] <= 2 * MANY // AT_ONCE + 10
    assert server.without_delay == {1}


class Short:
    """A socket of a process that has no file descriptor left, the first two times."""

    def __init__(self, inner: socket.socket, tried: list[int]) -> None:
        self._inner, self._tried = inner, tried

    def dup(self) -> Any:
        return Short(self._inner.dup(), self._tried)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def accept(self) -> Any:
        self._tried.append(1)
        if len(self._tried) < 3:
            raise OSError(errno.EMFILE, "too many open files")
        return self._inner.accept()


def test_when_none_can_be_taken_in_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "AGAIN", 0.0)
    tried: list[int] = []

    async def connect(listening: socket.socket) -> None:
        made = asyncio.Event()

        def protocol() -> asyncio.Protocol:
            made.set()
            return asyncio.Protocol()

        short: Any = Short(listening, tried)
        taking = Connections([short], protocol)
        with socket.create_connection(listening.getsockname()):
            async with asyncio.timeout(10):
                await made.wait()
        taking.close()

    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop,
    ):
        loop.run(connect(listening))
    assert len(tried) >= 3
