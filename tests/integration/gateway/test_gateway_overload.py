"""A gateway that is asked for more than it takes: it says so at once and when to come again, and keeps what it took."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from trunkline import App, Context
from trunkline.bus.connection import Bus
from trunkline.domain.specs import AgentSpec
from trunkline.gateway.server import serve
from trunkline.settings import Settings
from trunkline.store import definitions
from trunkline.store.database import Database
from trunkline_workers.agent import service as agents

app = App("overload_under_test")
Go = app.signal("go", str)
RUNS = "/v1/agents/patient/runs"


@app.agent("patient")
async def patient(ctx: Context, word: str) -> str:
    return f"{word} {await ctx.wait_for(Go)}"


@pytest.fixture
async def db(settings: Settings) -> AsyncIterator[Database]:
    """Where the agent is declared, but nobody is at work."""
    db = await Database.of(settings)
    await definitions.publish(db, settings.tenant, [AgentSpec(name="patient", app=app.name)], [])
    yield db
    await db.close()


@pytest.fixture
def gateway(settings: Settings, run_service: Any) -> Any:
    async def start(**changed: Any) -> str:
        own = settings.model_copy(update={"port": 0, **changed})
        return str(await run_service(lambda stop, ready: serve(own, stop, ready)))

    return start


@asynccontextmanager
async def half_sent(url: str, body: bytes, **headers: str) -> AsyncIterator[Any]:
    """A start whose body has not come whole yet; calling what this gives sends the rest (or
    only some of it), and returns the answer.
    """
    host, port = url.removeprefix("http://").rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {RUNS} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(head.encode() + b"\r\n" + body[:1])
    await writer.drain()

    async def rest(more: bytes = body[1:], until: bytes = b"}}") -> bytes:
        writer.write(more)
        return await reader.readuntil(until)

    yield rest
    writer.close()


async def inside(http: httpx2.AsyncClient, wanted: int) -> bool:
    return f"trunkline_accepts_inside {float(wanted)}" in (await http.get("/metrics")).text


async def starts(http: httpx2.AsyncClient) -> float:
    """How many starts were accepted by gateways in this process, as the metrics count them."""
    counted = (
        f'trunkline_http_requests_total{{method="POST",route="{RUNS.replace("patient", "{agent}")}",status="2xx"}} '
    )
    lines = (await http.get("/metrics")).text.splitlines()
    return sum(float(line.removeprefix(counted)) for line in lines if line.startswith(counted))


async def test_beyond_its_bound_it_says_so_at_once_and_when_to_come_again(
    gateway: Any, db: Database, eventually: Any
) -> None:
    url = await gateway(max_accepts=1)
    body = json.dumps({"input": "well"}).encode()
    async with httpx2.AsyncClient(base_url=url, timeout=20) as http, half_sent(url, body) as rest:
        await eventually(lambda: inside(http, 1))
        for path in (RUNS, "/v1/events", "/v1/runs/x/cancel"):
            refused = await http.post(path, json={"input": "well"})
            assert (refused.status_code, refused.json()["type"]) == (503, "urn:trunkline:busy")
            assert refused.headers["retry-after"] == "1"
        assert (await http.get("/v1/runs")).status_code == 200  # who only asks is answered
        assert b" 202 " in await rest()
        assert (await http.post(RUNS, json={"input": "well"})).status_code == 202
        shed = 'trunkline_shed_total{reason="busy"}'
        assert shed in (await http.get("/metrics")).text
        assert len((await http.get("/v1/runs")).json()["items"]) == 2


async def test_who_waits_for_an_end_keeps_nobody_out(
    settings: Settings, gateway: Any, run_service: Any, eventually: Any
) -> None:
    await run_service(lambda stop, ready: agents.serve(app, settings, stop, ready))
    url = await gateway(max_accepts=1)
    async with httpx2.AsyncClient(base_url=url, timeout=30) as http:

        async def begun() -> Any:
            return (await http.get("/v1/runs")).json()["items"]

        waiting = asyncio.create_task(http.post(f"{RUNS}?wait=25", json={"input": "well"}))
        [run] = await eventually(begun)
        await eventually(lambda: inside(http, 0))
        assert (await http.post(f"/v1/runs/{run['id']}/signals/go", json="on")).status_code == 202
        assert (await waiting).json()["output"] == "well on"


async def test_a_loud_tenant_leaves_room_for_the_others(gateway: Any, db: Database, eventually: Any) -> None:
    keys = {"default": SecretStr("k" * 20), "other": SecretStr("o" * 20)}
    await definitions.publish(db, "other", [AgentSpec(name="patient", app=app.name)], [])
    url = await gateway(max_accepts=4, api_keys=keys)
    body = json.dumps({"input": "well"}).encode()
    loud, quiet = ({"Authorization": f"Bearer {keys[tenant].get_secret_value()}"} for tenant in keys)
    async with (
        httpx2.AsyncClient(base_url=url, timeout=20) as http,
        half_sent(url, body, **loud) as a,
        half_sent(url, body, **loud) as b,
        half_sent(url, body, **loud) as c,
    ):
        await eventually(lambda: inside(http, 3))
        refused = await http.post(RUNS, json={"input": "well"}, headers=loud)
        assert (refused.status_code, refused.json()["type"]) == (429, "urn:trunkline:tenant-busy")
        assert refused.headers["retry-after"] == "1"
        assert (await http.post(RUNS, json={"input": "well"}, headers=quiet)).status_code == 202
        for rest in (a, b, c):
            assert b" 202 " in await rest()


async def test_when_too_much_waits_for_workers_no_run_begins_and_all_else_is_taken(
    settings: Settings, gateway: Any, db: Database, eventually: Any
) -> None:
    bus = await Bus.connect(settings, name="test")
    await bus.declare()
    await bus.close()
    url = await gateway(max_backlog=3)
    async with httpx2.AsyncClient(base_url=url, timeout=20) as http:
        accepted: list[str] = []

        async def refused() -> Any:
            answer = await http.post(RUNS, json={"input": "well"})
            if answer.status_code == 202:
                accepted.append(answer.json()["run_id"])
                return None
            return answer

        answer = await eventually(refused)
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:trunkline:agent-busy")
        assert answer.headers["retry-after"] == "1"
        assert len(accepted) >= 3
        async with half_sent(url, b'{"input": "well"}') as rest:  # what is refused need not be read
            assert b" 503 " in await asyncio.wait_for(rest(b"", b"\r\n"), 10)
        assert (await http.post(f"/v1/runs/{accepted[0]}/signals/go", json="on")).status_code == 202
        assert len((await http.get("/v1/runs?limit=500")).json()["items"]) == len(accepted)


async def test_who_goes_away_in_mid_sentence_leaves_nothing_behind(
    gateway: Any, db: Database, eventually: Any, caplog: pytest.LogCaptureFixture
) -> None:
    url = await gateway()
    async with httpx2.AsyncClient(base_url=url, timeout=20) as http:
        async with half_sent(url, b'{"input": "well"}'):
            await eventually(lambda: inside(http, 1))
        await eventually(lambda: inside(http, 0))
        assert (await http.get("/v1/runs")).json()["items"] == []
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_plain_start_and_one_by_the_long_way_are_the_same(gateway: Any, db: Database) -> None:
    url = await gateway()
    async with httpx2.AsyncClient(base_url=url, timeout=20) as http:
        key, before = {"Idempotency-Key": "once"}, await starts(http)
        plain = await http.post(RUNS, json={"input": "well"}, headers=key)
        long = await http.post(f"{RUNS}?wait=0", json={"input": "well"}, headers=key)
        assert plain.json() == long.json()
        for path in (RUNS, f"{RUNS}?wait=0"):
            other = await http.post(path, json={"input": "other"}, headers=key)
            assert (other.status_code, other.json()["type"]) == (409, "urn:trunkline:idempotency-conflict")
            empty = await http.post(path, json={}, headers=key)
            assert (empty.status_code, empty.headers["content-type"]) == (422, "application/problem+json")
            unusual = await http.post(path, json={"input": "well"}, headers={"Idempotency-Key": "k" * 201})
            assert (unusual.status_code, unusual.json()["type"]) == (422, "urn:trunkline:bad-input")
        assert await starts(http) - before == 2
