"""Where the LLM worker stops reading, against litellm's real streams."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from trunkline.testing.openai_server import OpenAIServer
from trunkline.testing.replies import HangUp, ModelSays, Reply, ToolCall
from trunkline_workers.llm import library
from trunkline_workers.llm.assemble import Answer
from trunkline_workers.llm.reading import chunks_of

TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]


@pytest.fixture
async def litellm() -> AsyncIterator[Any]:
    loaded = await library.load()
    yield loaded
    await library.close(loaded)


@pytest.fixture
async def model() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer(lambda *_: "Hello there, dear friend") as server:
        yield server


@pytest.fixture
def assembled(litellm: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many chunks litellm put together, each time that it did."""
    times: list[int] = []
    builder = litellm.stream_chunk_builder

    def counting(chunks: list[Any], **others: Any) -> Any:
        times.append(len(chunks))
        return builder(chunks=chunks, **others)

    monkeypatch.setattr(litellm, "stream_chunk_builder", counting)
    return times


async def _asked(litellm: Any, model: OpenAIServer) -> Any:
    return await litellm.acompletion(
        model="gpt-5-mini",
        custom_llm_provider="openai",
        api_base=model.url,
        api_key="none",
        messages=[{"role": "user", "content": "hi"}],
        tools=TOOLS,
        stream=True,
        stream_options={"include_usage": True},
        max_retries=0,
    )


async def _read(litellm: Any, model: OpenAIServer) -> Answer:
    answer = Answer()
    async for chunk in chunks_of(litellm, await _asked(litellm, model)):
        answer.take(chunk)
    return answer


async def _read_by_litellm(litellm: Any, model: OpenAIServer) -> Answer:
    answer = Answer()
    async for chunk in await _asked(litellm, model):
        answer.take(chunk)
    return answer


@pytest.mark.parametrize(
    "says",
    [
        ModelSays("Hello there", input_tokens=1000, output_tokens=100),
        ModelSays("One moment", tool_calls=(ToolCall("look", {"sku": "a" * 40}, "a"), ToolCall("look", {}, "b"))),
        ModelSays("cut o", finish_reason="length"),
    ],
)
async def test_the_answer_is_whole_and_litellm_does_not_put_it_together_again(
    says: Reply, litellm: Any, model: OpenAIServer, assembled: list[int]
) -> None:
    model.script = lambda *_: says
    ours = await _read(litellm, model)
    assert not assembled
    theirs = await _read_by_litellm(litellm, model)
    assert assembled
    assert ours.value == theirs.value
    counted = [(one.usage.prompt_tokens, one.usage.completion_tokens) for one in (ours, theirs)]
    assert counted[0] == counted[1]


async def test_litellm_counts_what_the_provider_did_not(
    litellm: Any, model: OpenAIServer, assembled: list[int]
) -> None:
    model.script = lambda *_: ModelSays("Hello there", input_tokens=0, output_tokens=0)
    answer = await _read(litellm, model)
    assert assembled
    assert answer.usage is not None


async def test_callbacks_hear_of_every_answer(
    litellm: Any, model: OpenAIServer, assembled: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(litellm, "success_callback", [lambda *_: None])
    answer = await _read(litellm, model)
    assert answer.value["text"] == "Hello there, dear friend"
    assert assembled


async def test_connections_are_kept(litellm: Any, model: OpenAIServer) -> None:
    for _ in range(5):
        await _read(litellm, model)
    assert len(model.calls) == 5
    assert len(model._connections) == 1


async def test_there_may_be_as_many_connections_as_calls(litellm: Any) -> None:
    limits = litellm.constants.AIOHTTP_CONNECTOR_LIMIT, litellm.constants.AIOHTTP_CONNECTOR_LIMIT_PER_HOST
    assert min(limits) > 10_000


async def test_a_broken_stream_is_told(litellm: Any, model: OpenAIServer) -> None:
    model.script = lambda *_: HangUp(ModelSays("Hello there, dear friend"), after=2)
    with pytest.raises(litellm.exceptions.MidStreamFallbackError):
        await _read(litellm, model)
