"""An LLM worker with a stand-in for litellm: the same worker, and no CPU time of litellm's.

What a turn costs with it is the platform's own. The answers are those of the benchmark's model server; one begins
``STAND_IN_LATENCY`` seconds after it was asked for.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from functools import partial
from types import SimpleNamespace
from typing import Any

from benchmarks.bench.model_server import script
from trunkline.authoring.loading import load_app
from trunkline.cli import process
from trunkline.settings import Settings
from trunkline.testing.replies import as_reply
from trunkline_workers.llm import library, service

LATENCY = "STAND_IN_LATENCY"


class StandIn:
    """As much of litellm as the worker uses. No model has a price."""

    def __init__(self, latency: float) -> None:
        self.model_cost: dict[str, Any] = {}
        self._latency = latency

    async def acompletion(self, *, messages: list[dict[str, Any]], **_: object) -> AsyncIterator[Any]:
        await asyncio.sleep(self._latency)
        return _streamed(as_reply(script(messages, None, None)))

    def completion_cost(self, **_: object) -> float:
        raise LookupError

    get_model_info = ModelResponse = completion_cost


async def _streamed(reply: Any) -> AsyncIterator[Any]:
    for piece in reply.pieces:
        yield _chunk(content=piece)
    for index, call in enumerate(reply.tool_calls):
        function = SimpleNamespace(name=call.name, arguments=call.arguments_text)
        yield _chunk(tool_calls=[SimpleNamespace(index=index, id=f"call_{index}", function=function)])
    yield _chunk(finish_reason=reply.finished)
    yield SimpleNamespace(choices=(), usage=SimpleNamespace(prompt_tokens=9, completion_tokens=9))


def _chunk(*, content: str | None = None, tool_calls: Any = None, finish_reason: str | None = None) -> Any:
    delta = SimpleNamespace(content=content, tool_calls=tool_calls)
    return SimpleNamespace(choices=[SimpleNamespace(delta=delta, finish_reason=finish_reason)])


async def _load() -> StandIn:
    return StandIn(float(os.environ[LATENCY]))


async def _close(_: StandIn) -> None:
    """There is nothing to close."""


if __name__ == "__main__":
    library.load, library.close = _load, _close  # type: ignore[assignment]
    settings = Settings()
    sys.exit(process.run(partial(service.serve, load_app(sys.argv[1]), settings), settings))
