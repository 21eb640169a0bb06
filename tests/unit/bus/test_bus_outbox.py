"""What goes to the socket, byte by byte, and what does not."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from trunkline.bus import outbox as rooms
from trunkline.bus.outbox import Outbox
from trunkline.bus.wire import WireClient


class Client:
    """``open`` says whether the socket takes what is written."""

    def __init__(self) -> None:
        self.open = True
        self.room = asyncio.Event()
        self.written: list[bytes] = []

    def write(self, commands: bytes) -> bool:
        if self.open:
            self.written.append(commands)
        return self.open

    async def forward(self, command: bytes) -> None:
        await self.room.wait()
        self.written.append(command)


@pytest.fixture
async def client() -> Client:
    return Client()


def outbox_of(client: Client) -> Outbox:
    return Outbox(cast("WireClient", client))


async def test_what_is_sent_in_one_turn_of_the_loop_is_one_write(client: Client) -> None:
    outbox = outbox_of(client)
    assert outbox.send("a.b", b"1")
    assert outbox.send("a.b", b"22", "back.", {"Nats-Msg-Id": " x\r\ny "}, b"7f")
    assert outbox.answer(b"$JS.ACK.1", b"+ACK")
    await outbox.flush()
    block = b"NATS/1.0\r\nNats-Msg-Id: x  y\r\n\r\n"
    second = b"HPUB a.b back.7f %d %d\r\n%b22\r\n" % (len(block), len(block) + 2, block)
    assert client.written == [b"PUB a.b 1\r\n1\r\n" + second + b"PUB $JS.ACK.1 4\r\n+ACK\r\n"]


@pytest.mark.parametrize("subject", ["", "a b", "a\r\nPUB b 0\r\n", "a\tb"])
async def test_a_subject_that_would_be_read_as_something_else_is_not_sent(client: Client, subject: str) -> None:
    outbox = outbox_of(client)
    assert not outbox.send(subject, b"")
    assert not outbox.send("a", b"", reply=subject or "b c")
    assert not outbox.send("a", b"", headers={"na me": "x"})
    await outbox.flush()
    assert not client.written


async def test_a_slow_socket_is_waited_for_in_order(client: Client) -> None:
    outbox = outbox_of(client)
    client.open = False
    outbox.put(b"1")
    outbox.put(b"2")
    await asyncio.sleep(0)
    client.open = True
    outbox.put(b"3")
    await asyncio.sleep(0)
    assert not client.written
    client.room.set()
    await outbox.flush()
    outbox.put(b"4")
    await outbox.flush()
    assert client.written == [b"1", b"2", b"3", b"4"]


async def test_what_waits_is_bounded(client: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr(rooms, "QUEUE", 2)
    outbox = outbox_of(client)
    client.open = False
    assert [outbox.put(b"x") for _ in range(3)] == [True, True, False]
    await asyncio.sleep(0)
    await outbox.close()
    assert not client.written
