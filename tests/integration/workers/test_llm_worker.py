"""An LLM worker on a real bus, through litellm's real path, against a scripted OpenAI-compatible server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from fake_owner import Owner

from trunkline.domain.work import PermitAnswer
from trunkline.testing.openai_server import OpenAIServer
from trunkline.testing.replies import HangUp, ModelSays, ProviderError, ToolCall
from trunkline_workers.llm import service

Serving = Callable[..., Awaitable[Any]]
Eventually = Callable[..., Awaitable[Any]]

QUESTION: dict[str, Any] = {"model": "openai/gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]}
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]
_POLICY = "ContentPolicyViolationError"
KEY = "sk-test-0123456789abcdef"


@pytest.fixture
async def model(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OpenAIServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    async with OpenAIServer(lambda *_: "Hello there, dear friend") as server:
        yield server


@pytest.fixture
async def worker(model: OpenAIServer, serving: Serving) -> Any:
    return await serving(service.serve, None, model_api_base=model.url)


# --- answers --------------------------------------------------------------------------------------------------------


async def test_text_usage_and_cost(model: OpenAIServer, owner: Owner, worker: Any, eventually: Eventually) -> None:
    model.script = lambda *_: ModelSays("Hello there", input_tokens=1000, output_tokens=100)
    item = await owner.ask({**QUESTION, "settings": {"max_tokens": 50}})
    outcome = await owner.outcome(item)
    assert outcome.error is None
    assert outcome.value == {"text": "Hello there", "tool_calls": [], "finish_reason": "stop"}
    assert outcome.usage is not None
    assert outcome.usage.pop("duration_s") > 0
    assert outcome.usage == {
        "model": "openai/gpt-5-mini",
        "input_tokens": 1000,
        "output_tokens": 100,
        "cost_usd": pytest.approx(1000 * 0.25e-6 + 100 * 2e-6),
        "cost_known": True,
    }
    [call] = model.calls
    assert call.messages == QUESTION["messages"]
    assert call.headers["authorization"] == f"Bearer {KEY}"
    assert call.body["max_completion_tokens"] == 50
    assert (await owner.asked()).execution == outcome.execution  # a model call always asks
    await eventually(lambda: _none(owner))


async def test_tokens_are_streamed_in_order(
    model: OpenAIServer, owner: Owner, worker: Any, eventually: Eventually
) -> None:
    text = " ".join(f"word{n}" for n in range(100))
    model.script = lambda *_: text
    await owner.outcome(await owner.ask(QUESTION, attempt=2))
    await eventually(lambda: "".join(chunk.text for chunk in owner.chunks) == text)
    assert [chunk.id for chunk in owner.chunks] == [f"2.2.{n}" for n in range(len(owner.chunks))]
    assert 5 <= len(owner.chunks) < 50  # in batches


async def test_tool_calls_come_back_as_the_model_wrote_them(model: OpenAIServer, owner: Owner, worker: Any) -> None:
    model.script = lambda *_: (ToolCall("look", {"sku": "a" * 40}), ToolCall("look", '{"broken'))
    outcome = await owner.outcome(await owner.ask({**QUESTION, "tools": TOOLS}))
    first, second = outcome.value["tool_calls"]
    assert (first["name"], first["arguments"]) == ("look", '{"sku":"' + "a" * 40 + '"}')
    assert second["arguments"] == '{"broken'
    assert first["id"] != second["id"]
    assert (outcome.value["text"], outcome.value["finish_reason"]) == (None, "tool_calls")
    assert model.calls[0].body["tools"] == TOOLS


async def test_a_structured_answer_is_asked_for_strictly(model: OpenAIServer, owner: Owner, worker: Any) -> None:
    model.script = lambda *_: {"count": 3}
    schema = {"type": "object", "properties": {"count": {"type": "integer", "title": "Count"}}, "title": "Answer"}
    outcome = await owner.outcome(
        await owner.ask({**QUESTION, "response_format": {"name": "Answer", "schema": schema}})
    )
    assert outcome.value["text"] == '{"count":3}'
    strict = {
        "type": "object",
        "properties": {"count": {"type": "integer"}},
        "required": ["count"],
        "additionalProperties": False,
    }
    asked = model.calls[0].body["response_format"]
    assert asked == {"type": "json_schema", "json_schema": {"name": "Answer", "schema": strict, "strict": True}}


async def test_settings_override_the_model_and_an_unknown_price_counts_as_nothing(
    model: OpenAIServer, owner: Owner, serving: Serving
) -> None:
    await serving(service.serve, None, model_api_base=model.url, model="openai/scripted")
    outcome = await owner.outcome(await owner.ask(QUESTION))
    assert outcome.usage is not None
    assert (outcome.usage["model"], outcome.usage["cost_usd"], outcome.usage["cost_known"]) == (
        "openai/scripted", 0.0, False,
    )  # fmt: skip
    assert outcome.usage["output_tokens"] == 4
    assert model.calls[0].body["model"] == "scripted"


async def test_text_that_cannot_be_stored_is_mended(model: OpenAIServer, owner: Owner, worker: Any) -> None:
    model.script = lambda *_: ModelSays("a\x00b \ud83d c")
    text = (await owner.outcome(await owner.ask(QUESTION))).value["text"]
    assert "\x00" not in text
    assert text.startswith("a\ufffdb")
    text.encode()


# --- failures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "type_", "retryable"),
    [
        (ProviderError(429, "slow down", "rate_limit", retry_after=3), "RateLimitError", True),
        (ProviderError(500), "InternalServerError", True),
        (ProviderError(503, "overloaded"), "ServiceUnavailableError", True),
        (HangUp(), "StreamBroken", True),
        (HangUp(clean=True), "Truncated", True),
        (ProviderError(401, f"Incorrect API key provided: {KEY}"), "AuthenticationError", False),
        (ProviderError(403, "not for you"), "APIError", False),
        (ProviderError(404, "no such model", code="model_not_found"), "NotFoundError", False),
        (ProviderError(400, "bad"), "BadRequestError", False),
        (ProviderError(400, "This model's maximum context length is 8192 tokens"), "ContextWindowExceededError", False),
        (ProviderError(400, "no", "invalid_request_error", "content_policy_violation"), _POLICY, False),
    ],
)
async def test_providers_errors_are_classified_and_hold_no_key(
    model: OpenAIServer, owner: Owner, worker: Any, *, caplog: Any, answer: Any, type_: str, retryable: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    model.fail_next(answer)
    failed = await owner.outcome(await owner.ask(QUESTION))
    assert failed.error is not None
    assert (failed.error["type"], failed.error["retryable"]) == (type_, retryable)
    assert KEY not in str(failed)
    assert failed.error["message"].startswith(getattr(answer, "message", "").replace(KEY, "***"))
    assert not [record for record in caplog.records if "trunkline" in record.name and KEY in str(record.__dict__)]
    assert len(model.calls) == 1  # nothing was repeated in between
    assert (await owner.outcome(await owner.ask(QUESTION))).error is None


async def test_an_unknown_provider_is_not_retryable(model: OpenAIServer, owner: Owner, serving: Serving) -> None:
    await serving(service.serve, None)
    for name in ("nosuchmodel", ""):
        error = (await owner.outcome(await owner.ask({**QUESTION, "model": name}))).error
        assert error is not None
        assert error["retryable"] is False


async def test_a_missing_key_is_not_retryable(owner: Owner, serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    await serving(service.serve, None)
    error = (await owner.outcome(await owner.ask(QUESTION))).error
    assert error is not None
    assert (error["type"], error["retryable"]) == ("AuthenticationError", False)


async def test_an_unreachable_provider_is_retryable(model: OpenAIServer, owner: Owner, worker: Any) -> None:
    await model.stop()
    error = (await owner.outcome(await owner.ask(QUESTION))).error
    assert error is not None
    assert error["retryable"] is True


async def test_arguments_that_are_none_are_refused(owner: Owner, worker: Any) -> None:
    error = (await owner.outcome(await owner.ask({"model": "x"}))).error
    assert error is not None
    assert (error["type"], error["retryable"]) == ("BadInput", False)


async def test_a_silent_model_times_out(model: OpenAIServer, owner: Owner, worker: Any) -> None:
    never = asyncio.Event()
    model.script = lambda *_: never.wait()
    error = (await owner.outcome(await owner.ask(QUESTION, timeout=0.5))).error
    assert error is not None
    assert (error["type"], error["retryable"]) == ("TimedOut", True)


async def test_a_model_that_never_comes_to_an_end_times_out(model: OpenAIServer, owner: Owner, worker: Any) -> None:
    model.script = lambda *_: "on and on " * 1000
    model.token_delay = 0.02
    error = (await owner.outcome(await owner.ask(QUESTION, timeout=0.5))).error
    assert error is not None
    assert (error["type"], error["retryable"]) == ("TimedOut", True)


# --- permits and stopping -------------------------------------------------------------------------------------------


async def test_a_refused_call_is_never_paid_for(
    model: OpenAIServer, owner: Owner, worker: Any, eventually: Eventually
) -> None:
    owner.permit = lambda _: PermitAnswer(answer="refused", reason="it has ended")
    await owner.ask(QUESTION)
    await owner.asked()
    await eventually(lambda: _none(owner))
    assert model.calls == []
    assert owner.outcomes == []


async def test_without_an_answer_nothing_is_paid_for(model: OpenAIServer, owner: Owner, worker: Any) -> None:
    owner.permit = lambda _: None
    item = await owner.ask(QUESTION)
    await owner.asked()
    await owner.asked()
    assert model.calls == []
    owner.permit = lambda _: PermitAnswer(answer="go")
    assert (await owner.outcome(item)).error is None
    assert len(model.paid_calls) == 1


async def test_a_cancelled_call_stops_its_stream(
    model: OpenAIServer, owner: Owner, worker: Any, eventually: Eventually
) -> None:
    model.script = lambda *_: "on and on " * 1000
    model.token_delay = 0.02
    item = await owner.ask(QUESTION)
    await eventually(lambda: owner.chunks)
    owner.cancel(item)
    error = (await owner.outcome(item)).error
    assert error is not None
    assert (error["type"], error["retryable"]) == ("Cancelled", False)
    await eventually(lambda: model.calls[0].cut)  # the provider was told


async def test_concurrency_is_bounded_over_all_pools(model: OpenAIServer, owner: Owner, serving: Serving) -> None:
    waiting: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    async def hold(*_: Any) -> str:
        event = asyncio.Event()
        waiting.put_nowait(event)
        await event.wait()
        return "ok"

    model.script = hold
    await serving(service.serve, None, model_api_base=model.url, llm_concurrency=2)
    items = [await owner.ask({**QUESTION, "messages": [{"role": "user", "content": str(n)}]}) for n in range(4)]
    for _ in items:
        event = await asyncio.wait_for(waiting.get(), 10)
        assert sum(call.reply is None for call in model.calls) <= 2
        event.set()
    assert [(await owner.outcome(item)).error for item in items] == [None] * 4


async def test_a_drained_worker_hands_its_calls_back(model: OpenAIServer, owner: Owner, serving: Serving) -> None:
    asked = asyncio.Event()
    go_on = asyncio.Event()

    async def hold(*_: Any) -> str:
        asked.set()
        await go_on.wait()
        return "ok"

    model.script = hold
    first = await serving(service.serve, None, model_api_base=model.url, drain=0.1, ack_wait=60.0)
    item = await owner.ask(QUESTION)
    await asyncio.wait_for(asked.wait(), 10)
    await first.stop()
    go_on.set()
    await serving(service.serve, None, model_api_base=model.url, ack_wait=60.0)
    assert (await owner.outcome(item)).value["text"] == "ok"


async def _none(owner: Owner) -> bool:
    return await owner.work_left() == 0
