"""The load's HTTP: one connection for many requests, answers with a length or in chunks."""

import asyncio

import pytest
from benchmarks.contenders.http_line import Lines

WHOLE = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"


@pytest.mark.parametrize(("answer", "read"), [(WHOLE, (202, b"ok")), (CHUNKED, (200, b"abcde"))])
async def test_answers_are_read_to_their_end(answer: bytes, read: tuple[int, bytes]) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for _ in range(2):
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"POST /runs HTTP/1.1" in head
            assert await reader.readexactly(len(b'{"n": 1}')) == b'{"n": 1}'
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        lines = Lines(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        assert [await lines.post("/runs", {"n": 1}) for _ in range(2)] == [read, read]
        assert connections == 1
        lines.close()
