"""What the server sends, however it is cut into pieces."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from nats.errors import ProtocolError

from trunkline.bus.parsing import Reader, headers_of

BLOCK = b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 3\r\n\r\n"
STREAM = (
    b"PING\r\n"
    b"MSG tl.reply.1 7 5\r\nhello\r\n"
    b"MSG tl.reply.2 7 $JS.ACK.x 4\r\n\r\n\r\n\r\n"
    b"+OK\r\n"
    b"MSG unheard 8 0\r\n\r\n"
    + b"HMSG tl.inbox 7 back %d %d\r\n%b{}\r\n" % (len(BLOCK), len(BLOCK) + 2, BLOCK)
    + b"PONG\r\n"
)
MESSAGES = [
    (b"tl.reply.1", b"", b"hello", b""),
    (b"tl.reply.2", b"$JS.ACK.x", b"\r\n\r\n", b""),
    (b"tl.inbox", b"back", b"{}", BLOCK),
]


class Client:
    """Notes what takes nats-py's way."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def _process_ping(self) -> None:
        self.seen.append("ping")

    async def _process_pong(self) -> None:
        self.seen.append("pong")

    async def _process_msg(self, *message: Any) -> None:
        self.seen.append(message)

    async def _process_err(self, reason: str) -> None:
        self.reader.reset()
        self.seen.append(reason)

    reader: Reader


def reader_of(client: Client) -> tuple[Reader, list[Any]]:
    heard: list[Any] = []
    client.reader = reader = Reader(client)
    reader.listeners[7] = lambda *message: heard.append(message)
    return reader, heard


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20, len(STREAM)])
async def test_a_message_arrives_once_however_it_is_cut(size: int) -> None:
    client = Client()
    reader, heard = reader_of(client)
    for at in range(0, 2 * len(STREAM), size):
        await reader.parse((2 * STREAM)[at : at + size])
    assert heard == 2 * MESSAGES
    assert client.seen == 2 * ["ping", (8, b"unheard", b"", b"", None), "pong"]
    assert not reader.buf


async def test_what_listens_and_raises_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    reader, heard = reader_of(Client())
    reader.listeners[9] = lambda *_: heard[99]
    await reader.parse(b"MSG a 9 1\r\nx\r\nMSG b 7 1\r\ny\r\n")
    assert heard == [(b"b", b"", b"y", b"")]
    assert "what listens" in caplog.text


async def test_nothing_of_a_connection_that_ended_is_heard() -> None:
    client = Client()
    reader, heard = reader_of(client)
    await reader.parse(b"MSG a 7 100\r\nbegun")
    await reader.parse(b"x" * 97 + b"-ERR 'gone'\r\nMSG a 7 1\r\ny\r\n")
    assert len(heard) == 1
    assert client.seen == ["'gone'"]
    await reader.parse(b"MSG b 7 1\r\nz\r\n")
    assert heard[1:] == [(b"b", b"", b"z", b"")]


@pytest.mark.parametrize("line", [b"MSG a 7\r\n", b"MSG a seven 1\r\n", b"HMSG a 7 x\r\n", b"HELLO\r\n"])
async def test_what_no_server_sends_is_an_error(line: bytes) -> None:
    reader, _ = reader_of(Client())
    with pytest.raises(ProtocolError):
        await reader.parse(line)


@pytest.mark.parametrize(
    ("block", "found"),
    [
        (b"", {}),
        (b"NATS/1.0\r\nNats-Msg-Id: a: b \r\nx:y\r\n\r\n", {"Nats-Msg-Id": "a: b", "x": "y"}),
        (b"NATS/1.0 503\r\n\r\n", {"Status": "503", "Description": ""}),
        (BLOCK, {"Status": "408", "Description": "Request Timeout", "Nats-Pending-Messages": "3"}),
        (b"NATS/1.0\r\nno colon\r\nbad name: 1\r\n: 2\r\n\xff: 3\r\n\r\n", {"\N{REPLACEMENT CHARACTER}": "3"}),
    ],
)
def test_headers(block: bytes, found: dict[str, str]) -> None:
    assert headers_of(block) == found


async def test_others_have_their_turn_when_much_has_come() -> None:
    reader, heard = reader_of(Client())
    turns: list[int] = []
    asyncio.get_running_loop().call_soon(lambda: turns.append(len(heard)))
    await reader.parse(b"MSG a 7 1\r\nx\r\n")
    assert not turns
    await reader.parse(b"MSG a 7 1\r\nx\r\n" * 1000)
    assert turns == [1001]
