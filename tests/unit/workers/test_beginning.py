"""Just before what cannot be taken back, whoever carries an item out asks once more whether it may begin."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from trunkline import App
from trunkline.domain.codec import dumps
from trunkline.domain.work import PermitAnswer, PermitRequest, WorkItem
from trunkline.settings import Settings
from trunkline_workers.absence import Absence
from trunkline_workers.execution import Execution, HandBack, Result, Station
from trunkline_workers.llm.caller import Caller
from trunkline_workers.pipeline import Pipeline
from trunkline_workers.tool.executor import station as tool_station

ACK_WAIT = 3.0
Eventually = Callable[..., Awaitable[Any]]
did: list[str] = []


def add(a: int) -> int:
    did.append(f"did in {threading.current_thread().name}")
    return a


async def add_soon(a: int) -> int:
    did.append("did in the loop")
    return a


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    did.clear()


def away(_execution: Execution) -> None:
    raise HandBack("this process was away")


def execution(kind: Literal["tool", "llm"], begins: Callable[[Execution], None] | None = None) -> Execution:
    item = WorkItem(
        tenant="default", instance="i", agent="a", run="r", step="s", version=1, attempt=1, epoch=1, reply="r",
        kind=kind, name="m", idempotency_key="k", timeout=1.0, published_at=2**40,
    )  # fmt: skip
    delivery: Any = SimpleNamespace(attempts=1, published_at=2**40)
    args = {"a": 1} if kind == "tool" else {"model": "openai/m", "messages": []}
    one = Execution(delivery, item, args)
    if begins is not None:
        one.begins = begins
    return one


def station_of(fn: Callable[..., Any]) -> Station:
    return tool_station(App("shop").tool(fn), SimpleNamespace())  # type: ignore[arg-type]


@pytest.mark.parametrize("fn", [add, add_soon])
async def test_a_tool_that_may_not_begin_does_nothing(fn: Callable[..., Any]) -> None:
    with pytest.raises(HandBack):
        await station_of(fn).perform(execution("tool", away))
    assert did == []


async def test_a_thread_asks_for_itself_and_then_begins() -> None:
    asked = execution("tool", lambda _: did.append(f"asked in {threading.current_thread().name}"))
    assert (await station_of(add).perform(asked)).value == 1
    assert did == ["asked in tool add-1", "did in tool add-1"]


async def test_a_model_that_may_not_be_asked_is_not() -> None:
    async def acompletion(**_: Any) -> None:
        did.append("asked")

    bus: Any = SimpleNamespace(subjects=SimpleNamespace(stream=lambda *_: "s"), publish_soon=lambda *_, **__: None)
    library: Any = SimpleNamespace(acompletion=acompletion)
    with pytest.raises(HandBack):
        await Caller(library, bus, Settings())(execution("llm", away))
    assert did == []


@pytest.fixture
async def pipeline() -> Pipeline:
    async def request(_subject: str, data: bytes, _timeout: float) -> bytes:
        did.append(f"asked as {PermitRequest.read(data).execution}")
        return dumps(PermitAnswer(answer="go"))

    subjects = SimpleNamespace(cancel=lambda *_: "c", permit=lambda *_: "p")
    bus: Any = SimpleNamespace(subjects=subjects, request=request)
    member: Any = SimpleNamespace(worker_id="w", progress=0, held=0)
    return Pipeline(Settings(ack_wait=ACK_WAIT), bus, SimpleNamespace(), member)  # type: ignore[arg-type]


@pytest.mark.parametrize("fn", [add, add_soon])
async def test_what_was_carried_out_waits_for_no_garbage_collection(
    pipeline: Pipeline, eventually: Eventually, fn: Callable[..., Any]
) -> None:
    def alive() -> list[Execution]:
        return [one for one in gc.get_objects() if isinstance(one, Execution)]

    gc.disable()
    try:
        before = alive()
        for _ in range(3):
            await pipeline._carry_out(station_of(fn), execution("tool"))
        await eventually(lambda: not [one for one in alive() if one not in before])  # its task, its thread let go of it
    finally:
        gc.enable()


@pytest.mark.parametrize("seconds", [0.0, 10.0])
async def test_who_was_stopped_after_being_let_begin_hands_it_back(pipeline: Pipeline, seconds: float) -> None:
    stopped_for = 0.0
    pipeline._absence = Absence(ACK_WAIT, clock=lambda: time.monotonic() + stopped_for)

    async def perform(one: Execution) -> Result:
        nonlocal stopped_for
        stopped_for = seconds
        one.begin()
        did.append("did")
        return Result(1)

    carried_out = pipeline._carry_out(Station("tool", "m", perform, asyncio.Semaphore(1), 1), execution("tool"))
    if seconds:
        with pytest.raises(HandBack, match="away"):
            await carried_out
    else:
        assert await carried_out == Result(1)
    assert did == ([] if seconds else ["did"])


async def test_what_did_not_begin_asks_again_as_the_same_execution_and_what_did_never(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    away_for = 0.0
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + away_for)
    for module in ("pipeline", "permits"):
        monkeypatch.setattr(f"trunkline_workers.{module}.time", clock)
    pipeline._absence = Absence(ACK_WAIT, clock=clock.monotonic)

    async def carry_out(seconds: float) -> Result:
        async def perform(one: Execution) -> Result:
            nonlocal away_for
            away_for += seconds
            one.begin()
            return Result(1)

        pipeline._absence.tick()
        return await pipeline._carry_out(Station("llm", "m", perform, asyncio.Semaphore(1), 1), execution("llm"))

    for _ in range(2):
        with pytest.raises(HandBack, match="away"):
            await carry_out(10.0)
    for _ in range(2):
        assert await carry_out(0.0) == Result(1)
    first, second, third, fourth = did
    assert first == second == third != fourth
