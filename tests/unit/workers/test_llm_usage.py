"""What a call cost, with a library that knows some prices; and the end of a stream that tells its count with text."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from trunkline_workers.llm.assemble import Answer
from trunkline_workers.llm.reading import chunks_of
from trunkline_workers.llm.usage import Prices

COUNTED: Any = SimpleNamespace(prompt_tokens=1000, completion_tokens=100)


class Library:
    """Says what every answer of a model costs. It counts in ``asked`` how often it was to price one."""

    def __init__(self, prices: dict[str, float]) -> None:
        self.model_cost = prices
        self.asked = 0

    def ModelResponse(self, model: str, usage: Any) -> Any:  # noqa: N802 - litellm's name
        return SimpleNamespace(model=model, usage=usage)

    def completion_cost(self, *, completion_response: Any, model: str) -> float:
        assert completion_response.usage is COUNTED
        self.asked += 1
        return self.get_model_info(model)

    def get_model_info(self, model: str) -> float:
        if model not in self.model_cost:
            raise ValueError("This model isn't mapped yet")
        return self.model_cost[model]


def _cost(prices: Prices, model: str, stream: Any = None) -> tuple[float, bool]:
    usage = prices.usage_of(model, COUNTED, 0.5, stream)
    return usage["cost_usd"], usage["cost_known"]


def test_a_model_without_a_price_is_looked_up_once_until_there_are_other_prices() -> None:
    library = Library({"a": 0.25})
    prices = Prices(library)
    assert [_cost(prices, "b") for _ in range(3)] == [(0.0, False)] * 3
    assert library.asked == 1
    library.model_cost["b"] = 0.5
    assert _cost(prices, "b") == (0.5, True)


def test_a_model_with_a_price_is_priced_every_time_even_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library({"a": 0.25})
    prices = Prices(library)
    with monkeypatch.context() as broken:
        broken.setattr(library, "completion_cost", lambda **_: 1 / 0)
        assert _cost(prices, "a") == (0.0, False)
    assert [_cost(prices, "a") for _ in range(2)] == [(0.25, True)] * 2


def test_the_price_of_the_call_itself_goes_first() -> None:
    own: Callable[..., float] = lambda result: 0.125 if result.usage is COUNTED else 0.0  # noqa: E731
    stream = SimpleNamespace(logging_obj=SimpleNamespace(response_cost_calculator=own))
    assert _cost(Prices(Library({"a": 0.25})), "a", stream) == (0.125, True)


def test_what_the_provider_says_it_cost_counts() -> None:
    counted = SimpleNamespace(prompt_tokens=1, completion_tokens=1, cost=0.75)
    assert Prices(Library({})).usage_of("b", counted, 0.5)["cost_usd"] == 0.75


# --- the end of a stream --------------------------------------------------------------------------------------------


class Stream:
    """As litellm's: it keeps the chunk that came with a count, hands it on without, and puts an end behind the last."""

    def __init__(self, *texts: str) -> None:
        self.completion_stream: Any = _each(texts)
        self.chunks: list[Any] = []
        self.sent_last_chunk = False
        self.closed = False

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Any:
        async for text in self.completion_stream:
            self.chunks.append(SimpleNamespace(choices=_choices(text), usage=COUNTED))
            return SimpleNamespace(choices=_choices(text))
        if self.sent_last_chunk:
            raise AssertionError("litellm puts everything together once more")
        self.sent_last_chunk = True
        return SimpleNamespace(choices=_choices(None, "stop"))

    async def aclose(self) -> None:
        await self.completion_stream.aclose()
        self.closed = True


async def _each(texts: tuple[str, ...]) -> AsyncIterator[str]:
    for text in texts:
        yield text


def _choices(text: str | None, finish: str | None = None) -> list[Any]:
    return [SimpleNamespace(delta=SimpleNamespace(content=text), finish_reason=finish)]


async def test_a_count_that_came_with_text_does_not_repeat_the_text() -> None:
    stream, answer = Stream("Hello"), Answer()
    async for chunk in chunks_of(SimpleNamespace(), stream):
        answer.take(chunk)
    assert answer.value == {"text": "Hello", "tool_calls": [], "finish_reason": "stop"}
    assert answer.usage is COUNTED
    assert stream.closed


async def test_counts_that_came_twice_are_left_to_litellm() -> None:
    with pytest.raises(AssertionError, match="once more"):
        async for _ in chunks_of(SimpleNamespace(), Stream("He", "llo")):
            pass
