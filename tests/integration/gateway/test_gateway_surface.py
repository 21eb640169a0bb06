"""What the gateway says of itself: its metrics, and its OpenAPI document."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from trunkline.gateway.server import serve
from trunkline.settings import Settings


@pytest.fixture
async def http(settings: Settings, run_service: Any) -> AsyncIterator[httpx2.AsyncClient]:
    free = settings.model_copy(update={"port": 0})
    url = await run_service(lambda stop, ready: serve(free, stop, ready))
    async with httpx2.AsyncClient(base_url=url, timeout=20) as client:
        yield client


async def test_requests_are_counted_by_route_template_and_never_by_path(http: httpx2.AsyncClient) -> None:
    for path in ("/v1/runs/some-run-id", "/v1/no-such-route", "/healthz"):
        await http.get(path)
    text = (await http.get("/metrics")).text
    for route, status in (("/v1/runs/{run}", "4xx"), ("none", "4xx"), ("/healthz", "2xx")):
        labels = f'{{method="GET",route="{route}",status="{status}"}}'
        assert f"trunkline_http_requests_total{labels}" in text
    assert 'trunkline_http_seconds_count{method="GET",route="/v1/runs/{run}"}' in text
    assert "some-run-id" not in text
    assert "no-such-route" not in text


async def test_every_route_is_described_with_its_refusals(http: httpx2.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    routes = {
        f"{method} {path}": route for path, methods in document["paths"].items() for method, route in methods.items()
    }
    assert "post /v1/agents/{agent}/runs" in routes
    for name, route in routes.items():
        assert route["summary"], name
        assert route["description"], name
        assert "application/problem+json" in route["responses"]["4XX"]["content"], name
