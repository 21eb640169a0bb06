"""The small HTTP server of processes that serve no other HTTP."""

import asyncio
import json

import pytest

from trunkline.domain.errors import BadDeclaration
from trunkline.observe.health import MAX_HEAD, HealthServer


async def ask(server: HealthServer, request: bytes) -> bytes:
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    return answer


def get(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


async def test_healthy_and_ready() -> None:
    async with HealthServer("127.0.0.1", 0, {"nats": lambda: None}) as server:
        assert (await ask(server, get("/healthz"))).startswith(b"HTTP/1.1 200 OK\r\n")
        assert (await ask(server, get("/readyz?verbose"))).endswith(b'{"ready":true,"missing":{}}')


async def test_not_ready_names_what_is_missing() -> None:
    async with HealthServer("127.0.0.1", 0, {"nats": lambda: "not connected", "postgres": lambda: None}) as server:
        answer = await ask(server, get("/readyz"))
    assert answer.startswith(b"HTTP/1.1 503")
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1]) == {"ready": False, "missing": {"nats": "not connected"}}


async def test_metrics() -> None:
    async with HealthServer("127.0.0.1", 0, {}) as server:
        answer = await ask(server, get("/metrics"))
    assert b"text/plain; version=0.0.4" in answer
    assert b"process_cpu_seconds_total" in answer


@pytest.mark.parametrize(
    ("request_", "status"),
    [(get("/nowhere"), b"404"), (get("/healthz", "POST"), b"405"), (b"nonsense\r\n\r\n", b"405")],
)
async def test_other_requests(request_: bytes, status: bytes) -> None:
    async with HealthServer("127.0.0.1", 0, {}) as server:
        assert (await ask(server, request_)).split(b" ")[1] == status


async def test_head_has_no_body() -> None:
    async with HealthServer("127.0.0.1", 0, {}) as server:
        assert (await ask(server, get("/healthz", "HEAD"))).endswith(b"\r\n\r\n")


async def test_an_endless_head_is_cut_off() -> None:
    async with HealthServer("127.0.0.1", 0, {}) as server:
        assert await ask(server, b"GET /" + b"x" * (MAX_HEAD * 3)) == b""


async def test_minus_one_serves_nothing() -> None:
    async with HealthServer("127.0.0.1", -1, {}) as server:
        assert server.url == ""


async def test_a_taken_port_is_told() -> None:
    async with HealthServer("127.0.0.1", 0, {}) as server:
        port = int(server.url.rsplit(":", 1)[1])
        with pytest.raises(BadDeclaration, match="TRUNKLINE_METRICS_PORT"):
            await HealthServer("127.0.0.1", port, {}).start()
