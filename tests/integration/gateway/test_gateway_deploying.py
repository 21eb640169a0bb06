"""Definitions over HTTP: deployed, listed, shown, rolled back; nonsense is refused by name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from trunkline import App, Client
from trunkline.gateway.server import serve
from trunkline.settings import Settings
from trunkline_workers.agent import service as agents


def desk(instructions: str) -> App:
    app = App("desk")
    app.llm_agent("triage", model="openai/x", instructions=instructions)
    return app


@pytest.fixture
async def url(settings: Settings, run_service: Any) -> str:
    await run_service(lambda stop, ready: agents.serve(desk("old"), settings, stop, ready))
    free = settings.model_copy(update={"port": 0})
    return str(await run_service(lambda stop, ready: serve(free, stop, ready)))


@pytest.fixture
async def http(url: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=url, timeout=20) as client:
        yield client


async def test_a_client_deploys_and_rolls_back_over_http(url: str, http: httpx2.AsyncClient) -> None:
    async with Client(url=url) as tl:
        assert await tl.deploy(desk("new")) == [{"name": "triage", "version": 2, "previous": 1}]
        assert await tl.deploy(desk("new")) == []
        [item] = (await tl.definitions())["items"]
        assert (item["agent"], item["version"], item["cause"], item["previous"]) == ("triage", 2, "deploy", 1)
        assert await tl.rollback("triage", to=1) == [{"name": "triage", "version": 1, "previous": None}]
        assert await tl.rollback("triage", to=1) == []
        assert [one["version"] for one in (await tl.definitions("triage"))["items"]] == [2, 1]
    shown = (await http.get("/v1/definitions/triage/2")).json()
    assert shown["body"]["model"]["instructions"] == "new"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/deployments", {}, 422),
        ("POST", "/v1/deployments", {"agents": []}, 422),
        ("POST", "/v1/deployments", {"agents": [{"name": "x"}]}, 422),
        ("POST", "/v1/deployments", {"agents": [{"name": "x", "app": "a"}] * 2}, 422),
        ("POST", "/v1/rollbacks", {"versions": {}}, 422),
        ("POST", "/v1/rollbacks", {"versions": {"triage": "1"}}, 422),
        ("POST", "/v1/rollbacks", {"versions": {"triage": True}}, 422),
        ("POST", "/v1/rollbacks", {"versions": {"triage": 10**12}}, 422),
        ("POST", "/v1/rollbacks", {"versions": {"triage": 9}}, 404),
        ("GET", "/v1/definitions?agent=none", None, 404),
        ("GET", "/v1/definitions?agent=%00", None, 422),
        ("GET", "/v1/definitions/triage/9", None, 404),
        ("GET", "/v1/definitions/triage/0", None, 422),
        ("GET", "/v1/definitions/triage/99999999999", None, 422),
    ],
)
async def test_nonsense_is_refused(http: httpx2.AsyncClient, method: str, path: str, body: Any, status: int) -> None:
    answer = await http.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["type"].startswith("urn:trunkline:")
