"""The scripted OpenAI-compatible server, spoken to over plain HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel

from trunkline.testing.openai_server import OpenAIServer
from trunkline.testing.replies import HangUp, ModelSays, ProviderError, ToolCall

ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


class Count(BaseModel):
    count: int


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer(lambda *_: "Hello there") as server:
        yield server


@pytest.fixture
async def client(server: OpenAIServer) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=server.url, trust_env=False) as client:
        yield client


async def _ask(client: httpx2.AsyncClient, **changes: Any) -> httpx2.Response:
    return await client.post("/chat/completions", json=ASK | changes)


def _chunks(text: str) -> list[dict[str, Any]]:
    *chunks, end = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert end == "[DONE]"
    return [json.loads(chunk) for chunk in chunks]


async def test_a_whole_answer(server: OpenAIServer, client: httpx2.AsyncClient) -> None:
    answer = (await _ask(client)).json()
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "Hello there", "tool_calls": None}
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] == 2
    assert server.calls[0].messages == ASK["messages"]


async def test_a_streamed_answer_with_usage(client: httpx2.AsyncClient) -> None:
    chunks = _chunks((await _ask(client, stream=True, stream_options={"include_usage": True})).text)
    assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks[:-1]] == ["", "Hello ", "there", None]
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["completion_tokens"]) == ([], 2)


async def test_streamed_tool_calls(server: OpenAIServer, client: httpx2.AsyncClient) -> None:
    server.script = lambda *_: [ToolCall("look", {"sku": "x" * 30}), ToolCall("find", "{}", id="mine")]
    chunks = _chunks((await _ask(client, stream=True)).text)
    parts = [part for chunk in chunks for part in chunk["choices"][0]["delta"].get("tool_calls", [])]
    arguments = "".join(part["function"]["arguments"] for part in parts if part["index"] == 0)
    assert json.loads(arguments) == {"sku": "x" * 30}
    assert [part["id"] for part in parts if part.get("id")][1] == "mine"
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_the_script_sees_the_call_and_may_wait(server: OpenAIServer, client: httpx2.AsyncClient) -> None:
    seen: list[Any] = []
    go_on = asyncio.Event()

    async def script(*call: Any) -> Count:
        seen.append(call)
        await go_on.wait()
        return Count(count=3)

    server.script = script
    asking = asyncio.ensure_future(_ask(client, tools=[{"type": "function"}], response_format={"type": "json_object"}))
    go_on.set()
    assert json.loads((await asking).json()["choices"][0]["message"]["content"]) == {"count": 3}
    assert seen == [(ASK["messages"], [{"type": "function"}], {"type": "json_object"})]


async def test_failures_come_first_and_cost_nothing(server: OpenAIServer, client: httpx2.AsyncClient) -> None:
    server.fail_next(ProviderError(429, "slow down", "rate_limit_error", retry_after=2), HangUp())
    refused = await _ask(client)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
    assert refused.json()["error"] == {"message": "slow down", "type": "rate_limit_error", "param": None, "code": None}
    with pytest.raises(httpx2.TransportError):
        await _ask(client, stream=True)
    assert (await _ask(client)).status_code == 200
    assert len(server.calls) == 3
    assert len(server.paid_calls) == 2
    assert server.calls[0].digest == server.calls[2].digest != server.calls[1].body


async def test_a_broken_whole_answer(server: OpenAIServer, client: httpx2.AsyncClient) -> None:
    server.fail_next(HangUp(), HangUp(after=1, clean=True))
    with pytest.raises(httpx2.TransportError):
        await _ask(client)
    text = (await _ask(client, stream=True)).text
    assert "[DONE]" not in text
    assert "this " in text


async def test_given_token_counts_are_reported(server: OpenAIServer, client: httpx2.AsyncClient) -> None:
    server.script = lambda *_: ModelSays("x", input_tokens=7, output_tokens=9)
    assert (await _ask(client)).json()["usage"] == {"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16}


async def test_nonsense_is_told_apart(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/models")).status_code == 404
    assert (await client.post("/chat/completions", content=b"{nope")).status_code == 400
    assert (await client.post("/chat/completions", content=b"[]")).status_code == 400
    assert (await _ask(client)).status_code == 200
