"""A prompt that grows: its digest is that of the whole, and costs what was added."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline import App, testing
from trunkline.authoring.prompt import Prompt
from trunkline.domain import codec
from trunkline.testing import ModelSays, ToolCall

app = App("prompt")


@app.tool
def lookup(order_id: str) -> str:
    """Look an order up."""
    return f"{order_id} was shipped"


desk = app.llm_agent("desk", model="openai/scripted", instructions="You help.", tools=[lookup], max_turns=1000)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_digest_is_that_of_the_whole_prompt(count: int):
    prompt = Prompt({"model": "openai/x", "tools": [{"b": 1, "a": "é"}], "response_format": None})
    for number in range(count):
        prompt.add([{"role": "user", "content": f"“{number}”\n", "n": 1.5e300, "a": {"z": None, "b": []}}])
        prompt.digest()
    assert prompt.digest() == codec.digest(prompt.body())


def test_a_prompt_that_was_asked_for_does_not_grow():
    prompt = Prompt({"model": "openai/x"})
    before = prompt.body()
    prompt.add([{"role": "user", "content": "?"}])
    assert before["messages"] == []
    assert len(prompt.body()["messages"]) == 1


async def test_what_turns_cost_grows_as_their_number(monkeypatch: pytest.MonkeyPatch):
    hashed = 0
    canonical = codec.canonical

    def counted(value: Any) -> bytes:
        nonlocal hashed
        text = canonical(value)
        hashed += len(text)
        return text

    async def bytes_of(turns: int) -> int:
        nonlocal hashed
        hashed = 0
        asked = [ModelSays(tool_calls=(ToolCall("lookup", {"order_id": "o-1"}),))] * turns
        outcome = await testing.run(desk, "Where is it?", model=[*asked, "It was shipped."])
        assert outcome.status == "completed"
        return hashed

    monkeypatch.setattr(codec, "canonical", counted)
    few, many = await bytes_of(20), await bytes_of(80)
    assert 0 < many < 4.5 * few
