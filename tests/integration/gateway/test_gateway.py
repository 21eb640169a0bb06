"""The gateway over real HTTP, before a real agent worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from pydantic import SecretStr

from trunkline import App, Client, Context
from trunkline.domain.errors import MailboxFull, NotConfigured
from trunkline.gateway.server import serve
from trunkline.settings import Settings
from trunkline_workers.agent import service as agents

app = App("gateway_under_test")
Go = app.signal("go", str)


@app.agent("greeter", on="person.came", key="data.name")
async def greeter(ctx: Context, person: dict[str, str]) -> str:
    return f"hello {person['name']}"


@app.agent("patient")
async def patient(ctx: Context, word: str) -> str:
    return f"{word} {await ctx.wait_for(Go)}"


@pytest.fixture
async def http(settings: Settings, run_service: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a gateway with a worker behind it."""
    await run_service(lambda stop, ready: agents.serve(app, settings, stop, ready))
    free = settings.model_copy(update={"port": 0})
    url = await run_service(lambda stop, ready: serve(free, stop, ready))
    async with httpx2.AsyncClient(base_url=url, timeout=20) as client:
        yield client


async def started(http: httpx2.AsyncClient, path: str, body: Any, **headers: str) -> Any:
    answer = await http.post(path, json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    return answer.json()


async def test_a_run_is_accepted_and_waited_for(http: httpx2.AsyncClient) -> None:
    answer = await http.post("/v1/agents/greeter/instances/a%2Fb%20c/runs?wait=10", json={"input": {"name": "Ada"}})
    assert (answer.status_code, answer.json()["output"], answer.json()["key"]) == (200, "hello Ada", "a/b c")
    journal = (await http.get(f"/v1/runs/{answer.json()['id']}/journal")).json()["items"]
    assert [entry["type"] for entry in journal] == ["RunStarted", "RunCompleted"]
    listed = (await http.get("/v1/runs", params={"agent": "greeter"})).json()
    assert [run["id"] for run in listed["items"]] == [answer.json()["id"]]


async def test_an_idempotency_key_finds_the_first_run_and_refuses_another_body(http: httpx2.AsyncClient) -> None:
    path, key = "/v1/agents/greeter/runs", {"Idempotency-Key": "once"}
    first, again = [await started(http, path, {"input": {"name": "Ada"}}, **key) for _ in range(2)]
    assert first["run_id"] == again["run_id"]
    other = await http.post(path, json={"input": {"name": "Bob"}}, headers=key)
    assert (other.status_code, other.headers["content-type"]) == (409, "application/problem+json")


async def test_a_signal_reaches_its_run_and_an_ended_run_takes_none(http: httpx2.AsyncClient, eventually: Any) -> None:
    run = (await started(http, "/v1/agents/patient/runs", {"input": "well"}))["run_id"]
    await started(http, f"/v1/runs/{run}/signals/go", "then")

    async def ended() -> Any:
        found = (await http.get(f"/v1/runs/{run}")).json()
        return found if found["status"] == "completed" else None

    assert (await eventually(ended))["output"] == "well then"
    assert (await http.post(f"/v1/runs/{run}/signals/go", json="again")).status_code == 409
    assert (await http.post(f"/v1/runs/{run}/cancel")).status_code == 409


async def test_an_event_is_mail_before_the_answer(http: httpx2.AsyncClient) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "test", "type": "person.came", "data": {"name": "Eve"}}
    first, again = [await started(http, "/v1/events", event) for _ in range(2)]
    assert len(first["runs"]) == 1
    assert first == again


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/agents/nobody/runs", b'{"input": 1}', 404),
        ("/v1/agents/greeter/runs", b'{"input": ', 400),
        ("/v1/agents/greeter/runs", b'{"input": NaN}', 400),
        ("/v1/agents/greeter/runs", b'{"input": "\\u0000"}', 400),
        ("/v1/agents/greeter/runs", b'{"input": "\\ud800"}', 400),
        ("/v1/agents/greeter/runs", b"{}", 422),
        ("/v1/agents/greeter/runs", b'"' + b"x" * 5_000_000 + b'"', 413),
        ("/v1/runs/none/cancel", b"", 404),
        ("/v1/events", b'{"specversion": "1.0"}', 422),
        ("/v1/nothing", b"", 404),
        ("/v1/tools", b"", 405),
    ],
)
async def test_bad_input_gets_a_problem_document(http: httpx2.AsyncClient, path: str, body: bytes, status: int) -> None:
    answer = await http.post(path, content=body)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_it_is_ready_when_both_servers_are_reached(http: httpx2.AsyncClient, eventually: Any) -> None:
    async def ready() -> bool:
        return (await http.get("/readyz")).status_code == 200

    await eventually(ready)
    assert (await http.get("/healthz")).json() == {"status": "ok"}
    assert "trunkline_runs" in (await http.get("/metrics")).text


async def test_beyond_loopback_it_needs_keys(settings: Settings) -> None:
    with pytest.raises(NotConfigured, match="TRUNKLINE_API_KEYS"):
        await serve(settings.model_copy(update={"host": "0.0.0.0"}), asyncio.Event(), print)


async def test_it_waits_for_its_servers_and_can_be_stopped_meanwhile(settings: Settings) -> None:
    nowhere = settings.model_copy(update={"database_url": SecretStr("postgresql://nobody@127.0.0.1:1/none")})
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(nowhere, stop, print))
    done, _ = await asyncio.wait({serving}, timeout=0.3)
    assert not done
    stop.set()
    await asyncio.wait_for(serving, 10)


@pytest.mark.parametrize("key", ["k/signals", "a/runs", "x/instances/y", "%2F", "ä b", "a.b*>"])
async def test_a_key_is_one_segment_whatever_it_holds(http: httpx2.AsyncClient, key: str) -> None:
    place = f"/v1/agents/patient/instances/{quote(key, safe='')}"
    run = (await http.post(f"{place}/runs", json={"input": "well"})).json()["run_id"]
    assert (await http.get(f"/v1/runs/{run}")).json()["key"] == key
    assert (await http.post(f"{place}/signals/runs", json=1)).json() == {"agent": "patient", "key": key}
    assert (await http.post(f"{place}/signals/go", json="on")).status_code == 202
    assert (await http.get(f"/v1/runs/{run}?wait=10")).json()["output"] == "well on"
    assert (await http.get(place)).status_code == 200


async def test_a_key_with_nul_is_refused(http: httpx2.AsyncClient) -> None:
    for key in ("%00", "a%00b", "a%00%2Fb"):
        refused = await http.post(f"/v1/agents/patient/instances/{key}/runs", json={"input": "well"})
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:trunkline:bad-key")


async def test_another_body_under_a_used_key_is_refused_everywhere(http: httpx2.AsyncClient) -> None:
    run = (await started(http, "/v1/agents/patient/instances/idem/runs", {"input": "well"}))["run_id"]
    for path, one, other in (
        (f"/v1/runs/{run}/signals/other", 1, 2),
        ("/v1/agents/patient/instances/idem/signals/other", 1, 2),
        (f"/v1/runs/{run}/cancel", {"reason": "a"}, {"reason": "b"}),
    ):
        key = {"Idempotency-Key": "once"}
        assert (await http.post(path, json=one, headers=key)).status_code == 202, path
        refused = await http.post(path, json=other, headers=key)
        assert refused.status_code == 409, path


async def test_a_full_instance_is_told_with_429_and_when_to_come_again(settings: Settings, run_service: Any) -> None:
    await run_service(lambda stop, ready: agents.serve(app, settings, stop, ready))
    narrow = settings.model_copy(update={"port": 0, "max_mailbox": 1})
    url = await run_service(lambda stop, ready: serve(narrow, stop, ready))
    async with httpx2.AsyncClient(base_url=url, timeout=20) as client:
        path = "/v1/agents/patient/instances/one"
        assert (await client.post(f"{path}/signals/nobody-waits", json=1)).status_code == 202  # it stays
        refused = await client.post(f"{path}/runs", json={"input": "well"})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert refused.json()["type"] == "urn:trunkline:mailbox-full"
        assert (await client.post("/v1/agents/patient/instances/two/runs", json={"input": "well"})).status_code == 202
    async with Client(url=url, patience=0.1) as direct:
        with pytest.raises(MailboxFull, match="takes no more"):
            await direct.start("patient", "well", key="one")
