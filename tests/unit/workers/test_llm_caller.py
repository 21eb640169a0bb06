"""The LLM worker's caller, with a library that takes its time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

from trunkline.domain.work import WorkItem
from trunkline.settings import Settings
from trunkline_workers.execution import Execution
from trunkline_workers.llm.caller import Caller

CALLS = 20
_ARGS = {"model": "openai/m", "messages": [{"role": "user", "content": "hello"}]}


async def test_in_a_burst_of_calls_others_have_their_turn() -> None:
    turns = 0
    began: list[int] = []

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def acompletion(**_: Any) -> AsyncIterator[Any]:
        began.append(turns)
        return _nothing()

    library: Any = SimpleNamespace(
        acompletion=acompletion,
        get_llm_provider=lambda model: (model, "openai"),
        get_supported_openai_params=lambda *_, **__: (),
    )
    bus: Any = SimpleNamespace(subjects=SimpleNamespace(stream=lambda *_: "s"), publish_soon=lambda *_, **__: None)
    caller = Caller(library, bus, Settings())
    beating = asyncio.create_task(others())
    await asyncio.gather(*(caller(_execution()) for _ in range(CALLS)))
    beating.cancel()
    assert len(began) == len(set(began)) == CALLS, "no two calls begin in one turn of the loop"


async def _nothing() -> AsyncIterator[Any]:
    for chunk in ():
        yield chunk


def _execution() -> Execution:
    item = WorkItem(
        tenant="default", instance="i", agent="a", run="r", step="s", version=1, attempt=1, epoch=1, reply="r",
        kind="llm", name="openai/m", idempotency_key="k", timeout=1.0, published_at=0.0,
    )  # fmt: skip
    delivery: Any = None
    return Execution(delivery, item, _ARGS)
