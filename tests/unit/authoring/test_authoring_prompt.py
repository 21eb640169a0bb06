"""The prompt of a model call, and its digest, which grows with it."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.authoring.prompt import Message, Prompt
from trunkline.domain import codec

TOOLS: list[dict[str, Any]] = [{"type": "function", "function": {"name": "look", "parameters": {"b": 1, "a": 0.5}}}]
SAID: list[Message] = [
    {"role": "system", "content": "Sei freundlich — immer"},
    {"role": "user", "content": "Wo ist meine Bestellung? 📦"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {"name": "look"}}]},
    {"role": "tool", "tool_call_id": "c", "content": 'a "quoted"\nline'},
]


@pytest.mark.parametrize("format_", [None, {"name": "Verdict", "schema": {"type": "object", "properties": {}}}])
@pytest.mark.parametrize("before", range(len(SAID) + 1))
def test_the_digest_is_that_of_the_whole_however_it_grew(before: int, format_: dict[str, Any] | None) -> None:
    prompt = Prompt("openai/m", SAID[:before], TOOLS, format_)
    for message in SAID[before:]:
        prompt.add(message)
        assert prompt.digest == codec.digest(prompt.body())
    assert prompt.digest == codec.digest(
        {"model": "openai/m", "messages": SAID, "tools": TOOLS, "response_format": format_}
    )


def test_what_is_added_later_is_not_in_an_earlier_body() -> None:
    prompt = Prompt("m", SAID[:1], [], None)
    body = prompt.body()
    prompt.add(*SAID[1:])
    assert body["messages"] == SAID[:1]


def test_a_message_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Any] = []
    canonical = codec.canonical
    monkeypatch.setattr(codec, "canonical", lambda value: hashed.append(value) or canonical(value))
    prompt = Prompt("m", SAID, TOOLS, None)
    hashed.clear()
    for message in SAID:
        prompt.add(message)
        assert prompt.digest
    assert hashed == SAID
