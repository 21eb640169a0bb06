"""When a batch of commands goes straight to the socket, and when it has to wait."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from nats import errors

from trunkline.bus.wire import WireClient, _Transport


class Socket:
    """The writer, and its transport."""

    def __init__(self) -> None:
        self.closing, self.unsent = False, 0
        self.written = b""
        self.transport = self

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return self.unsent


@pytest.fixture
async def connected() -> tuple[WireClient, Socket]:
    client, transport, socket = WireClient(), _Transport(), Socket()
    transport._io_writer = cast("Any", socket)
    client._transport, client._status = transport, WireClient.CONNECTED
    return client, socket


async def test_commands_go_behind_what_stood_before_them(connected: tuple[WireClient, Socket]) -> None:
    client, socket = connected
    client._pending, client._pending_data_size = [b"SUB a 1\r\n"], 9
    assert client.write(b"PUB a 0\r\n\r\n")
    assert socket.written == b"SUB a 1\r\nPUB a 0\r\n\r\n"
    assert (client._pending, client._pending_data_size) == ([], 0)


async def test_a_ping_overtakes_nothing_that_it_is_to_answer_for(connected: tuple[WireClient, Socket]) -> None:
    client, socket = connected
    loop = asyncio.get_running_loop()
    client._flush_queue, client._flusher_task = asyncio.Queue(), cast("Any", loop.create_future())  # it has no turn yet
    await client._send_unsubscribe(7)
    await client._send_ping(answered := loop.create_future())
    assert client.write(b"PUB a 0\r\n\r\n")
    assert socket.written == b"UNSUB 7 \r\nPING\r\nPUB a 0\r\n\r\n"
    await client._process_pong()
    assert answered.done()


async def test_a_socket_that_is_slow_closing_or_away_takes_nothing(connected: tuple[WireClient, Socket]) -> None:
    client, socket = connected
    socket.unsent = 10**6
    assert not client.write(b"x")
    socket.unsent, socket.closing = 0, True
    assert not client.write(b"x")
    socket.closing, client._status = False, WireClient.RECONNECTING
    assert not client.write(b"x")
    assert socket.written == b""


async def test_without_a_connection_commands_are_kept_as_far_as_there_is_room(
    connected: tuple[WireClient, Socket],
) -> None:
    client, _ = connected
    client._status, client._max_pending_size = WireClient.RECONNECTING, 10
    client._flush_queue = cast("Any", object())
    await client.forward(b"x" * 10)
    with pytest.raises(errors.OutboundBufferLimitError):
        await client.forward(b"y")
    assert client._pending == [b"x" * 10]
    client._status = WireClient.CLOSED
    with pytest.raises(errors.ConnectionClosedError):
        await client.forward(b"z")
