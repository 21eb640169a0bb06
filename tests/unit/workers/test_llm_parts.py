"""The parts of a model call that need no model: schemas, requests, assembling, and what errors mean."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from trunkline.domain.errors import BadInput
from trunkline.domain.work import WorkItem
from trunkline.settings import Settings
from trunkline_workers.llm.assemble import Answer
from trunkline_workers.llm.errors import Truncated, failure_of_call, retryable, without_keys
from trunkline_workers.llm.request import constrain, request
from trunkline_workers.llm.schema import response_format


class Line(BaseModel):
    sku: str
    count: int = 1


class Verdict(BaseModel):
    kind: Literal["refund", "keep"]
    lines: list[Line] = Field(default_factory=list)
    note: str | None = None


class Tree(BaseModel):
    name: str
    children: list[Tree] = []


class Loose(BaseModel):
    by_name: dict[str, int]


# --- schemas --------------------------------------------------------------------------------------------------------


def test_a_model_becomes_strict() -> None:
    asked = response_format("Verdict", Verdict.model_json_schema())
    assert asked is not None
    shape = asked["json_schema"]["schema"]
    assert asked["json_schema"]["strict"] is True
    assert shape["additionalProperties"] is False
    assert shape["required"] == ["kind", "lines", "note"]
    assert shape["$defs"]["Line"] == {
        "type": "object",
        "properties": {"sku": {"type": "string"}, "count": {"type": "integer"}},
        "additionalProperties": False,
        "required": ["sku", "count"],
    }
    assert "default" not in str(shape)


def test_a_recursive_model_is_an_object_at_its_root() -> None:
    asked = response_format("Tree", Tree.model_json_schema())
    assert asked is not None
    assert asked["json_schema"]["schema"]["type"] == "object"
    assert asked["json_schema"]["strict"] is True


@pytest.mark.parametrize(
    "schema",
    [
        Loose.model_json_schema(),  # a map has properties that are not known
        {"type": "object", "properties": {"a": {"type": "string", "minLength": 2}}},
        {"type": "object", "properties": {"a": {}}},
        {"type": "object", "properties": {"a": {"allOf": [{"type": "string"}]}}},
        {"type": "object"},
    ],
)
def test_what_strict_mode_cannot_say_is_asked_for_loosely(schema: dict[str, Any]) -> None:
    asked = response_format("x", schema)
    assert asked is not None
    assert asked["json_schema"] == {"name": "x", "schema": schema, "strict": False}


def test_a_schema_that_is_no_object_is_not_for_response_format() -> None:
    assert response_format("x", {"type": "array", "items": {"type": "string"}}) is None


# --- requests -------------------------------------------------------------------------------------------------------


def _item(**changes: Any) -> WorkItem:
    fields = {
        "tenant": "default", "instance": "i", "agent": "a", "run": "r", "step": "llm:m#1", "version": 1, "attempt": 1,
        "epoch": 1, "reply": "tl.default.reply.w", "kind": "llm", "name": "openai/gpt-5-mini", "idempotency_key": "k",
        "timeout": 7.0, "published_at": 0.0,
    }  # fmt: skip
    return WorkItem.model_validate(fields | changes)


ARGS: dict[str, Any] = {"model": "anthropic/claude", "messages": [{"role": "user", "content": "hi"}]}


def test_a_call_streams_with_usage_and_is_not_repeated_by_the_client() -> None:
    call = request(_item(), {**ARGS, "settings": {"temperature": 0.5, "top_p": None}}, Settings())
    assert call == {
        "model": "anthropic/claude",
        "messages": ARGS["messages"],
        "temperature": 0.5,
        "stream": True,
        "stream_options": {"include_usage": True},
        "timeout": 7.0,
        "max_retries": 0,
    }


def test_settings_override_the_model() -> None:
    assert request(_item(), ARGS, Settings(model="openai/other"))["model"] == "openai/other"


def test_a_base_url_takes_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    settings = Settings(model_api_base="http://127.0.0.1:1/v1")
    call = request(_item(), ARGS, settings)
    assert (call["custom_llm_provider"], call["model"]) == ("openai", "anthropic/claude")
    assert (call["api_base"], call["api_key"]) == ("http://127.0.0.1:1/v1", "none")
    assert request(_item(), {**ARGS, "model": "openai/gpt-5"}, settings)["model"] == "gpt-5"
    monkeypatch.setenv("OPENAI_API_KEY", "sk-something")
    assert "api_key" not in request(_item(), ARGS, settings)


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (None, "needed"),
        ([], "needed"),
        ({"model": 1, "messages": []}, "needed"),
        ({"model": "m"}, "needed"),
        ({**ARGS, "settings": {"api_key": "sk-x", "temperature": 1}}, "may not hold api_key"),
        ({**ARGS, "settings": {"stream": False}}, "may not hold stream"),
    ],
)
def test_nonsense_is_refused(args: Any, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        request(_item(), args, Settings())


def test_a_provider_without_response_format_is_asked_in_words() -> None:
    call = {"messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}]}
    constrain(call, {"name": "Line", "schema": Line.model_json_schema()}, ["temperature"])
    assert [message["role"] for message in call["messages"]] == ["system", "system", "user"]
    assert '"sku"' in call["messages"][1]["content"]
    assert "response_format" not in call


# --- answers --------------------------------------------------------------------------------------------------------


def _chunk(content: str | None = None, finish: str | None = None, calls: list[Any] | None = None) -> Any:
    delta = SimpleNamespace(content=content, tool_calls=calls)
    return SimpleNamespace(choices=[SimpleNamespace(delta=delta, finish_reason=finish)], usage=None)


def _part(index: int, id_: str | None = None, name: str | None = None, arguments: str | None = None) -> Any:
    return SimpleNamespace(index=index, id=id_, function=SimpleNamespace(name=name, arguments=arguments))


def test_text_is_assembled() -> None:
    answer = Answer()
    assert [answer.take(chunk) for chunk in (_chunk(""), _chunk("He"), _chunk("llo"), _chunk(finish="stop"))] == [
        "", "He", "llo", "",
    ]  # fmt: skip
    answer.take(SimpleNamespace(choices=[], usage="counted"))
    assert answer.value == {"text": "Hello", "tool_calls": [], "finish_reason": "stop"}
    assert answer.usage == "counted"


def test_tool_calls_are_assembled_by_index_however_they_interleave() -> None:
    answer = Answer()
    for calls in (
        [_part(0, "a", "look", "")],
        [_part(1, "b", "find", '{"x"')],
        [_part(0, arguments='{"q":'), _part(1, arguments=":2}")],
        [_part(0, arguments="1}")],
    ):
        answer.take(_chunk(calls=calls))
    assert answer.value["tool_calls"] == [
        {"id": "a", "name": "look", "arguments": '{"q":1}'},
        {"id": "b", "name": "find", "arguments": '{"x":2}'},
    ]
    assert answer.value["text"] is None


def test_what_cannot_be_stored_is_replaced() -> None:
    answer = Answer()
    answer.take(_chunk("a\x00b\ud800"))
    answer.take(_chunk(calls=[_part(0, None, "n\x00", None)]))
    assert "\x00" not in str(answer.value)
    str(answer.value).encode()
    assert answer.value["tool_calls"] == [{"id": "call_0", "name": "n\ufffd", "arguments": "{}"}]


def test_an_empty_answer_has_no_text() -> None:
    assert Answer().value == {"text": None, "tool_calls": [], "finish_reason": ""}


# --- errors ---------------------------------------------------------------------------------------------------------


def _error(name: str, status: int | None, message: str = "no") -> Exception:
    error: Exception = type(name, (Exception,), {})(message)
    if status is not None:
        error.status_code = status  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (_error("RateLimitError", 429), True),
        (_error("InternalServerError", 500), True),
        (_error("ServiceUnavailableError", 503), True),
        (_error("Timeout", 408), True),
        (_error("APIConnectionError", 500), True),
        (_error("MidStreamFallbackError", 500), True),
        (ConnectionResetError("reset"), True),
        (Truncated("cut"), True),
        (_error("AuthenticationError", 401), False),
        (_error("APIError", 403), False),
        (_error("BadRequestError", 400), False),
        (_error("ContextWindowExceededError", 400), False),
        (_error("ContentPolicyViolationError", 400), False),
        (_error("NotFoundError", 404), False),
        (_error("InternalServerError", 500, "Missing credentials. Please pass an `api_key`"), False),
        (_error("BudgetExceededError", None), False),
        (TypeError("a fault of ours"), False),
    ],
)
def test_what_may_be_tried_again(error: Exception, expected: bool) -> None:
    assert retryable(error) is expected


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-abcdef1234567890",
        "sk-ant-api03-abcdefgh",
        "sk-abc***********wxyz",
        "gsk_abcdefgh1234",
        "AIzaSyA1234567890abcdef",
        "AKIAIOSFODNN7EXAMPLE",
    ],
)
def test_keys_are_taken_out_of_messages(key: str) -> None:
    text = f"Incorrect API key provided: {key}. Header was 'Authorization: Bearer {key}', url https://x/?key={key}&b=1"
    assert key not in without_keys(text)
    assert "Incorrect API key provided: ***" in without_keys(text)


def test_secrets_of_the_environment_are_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_PROVIDER_API_KEY", "plainword99")
    failure = failure_of_call(_error("AuthenticationError", 401, "litellm.AuthenticationError: bad key plainword99"))
    assert failure == {"type": "AuthenticationError", "message": "bad key ***", "retryable": False}
