"""Workers that die in the middle: nothing that is recorded is done again, and others take over at once."""

from __future__ import annotations

import asyncio
from typing import Any

from integration.testing.kit_app import (
    Gate,
    Order,
    app,
    chat,
    collector,
    hasty_nap,
    orders,
    paid,
    sleeper,
    spread,
    talking,
)
from trunkline.domain.journal import StepRetried
from trunkline.testing import ExchangeFactory, ModelSays, ToolCall

ORDER = Order(id="o-1", cents=500)


async def test_an_agent_worker_dies_while_a_tool_is_called(exchange: ExchangeFactory) -> None:
    gate = Gate()
    nobody_looks = {"heartbeat": 600.0, "lease": 600.0}  # the kit itself declares the death, and reclaims
    async with exchange(app, tools={"look_up": gate}, settings=nobody_looks) as tl:
        run = await tl.start(orders, ORDER, key="o-1")
        await gate.reached.wait()
        before = {worker["worker"] for worker in (await tl.workers())["items"] if worker["kind"] == "agents"}
        await tl.crash("agents")
        after = {worker["worker"] for worker in (await tl.workers())["items"] if worker["kind"] == "agents"}
        assert before.isdisjoint(after)
        gate.open.set()
        assert await run.result() == "refunded 500 of o-1"
        journal = await tl.journal(run)
    assert [entry.reason for entry in journal if isinstance(entry, StepRetried)] == ["takeover"]
    journal.completed("refund", times=1)


async def test_an_agent_worker_dies_while_nothing_moves(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run, napping = await tl.start(collector, None), await tl.start(sleeper, 2)
        await tl.skip("1d")
        await tl.crash("agents")
        await run.signal(paid, 9)
        assert await run.result() == "9 paid"
        await tl.crash("agents")
        await tl.skip("1d")
        assert spread(await napping.result()) == [1.0, 1.0], "time has not gone back for the new worker"


async def test_the_supervisor_dies(exchange: ExchangeFactory) -> None:
    async with exchange(app, settings={"lease": 0.5}) as tl:
        napping, soon = await tl.start(sleeper, 1), await tl.start(hasty_nap, 0.3)
        await tl.crash("supervisor")
        assert await soon.result(timeout=20) == "awake", "another one leads, and fires what is due"
        await tl.skip("1d")
        assert spread(await napping.result()) == [1.0]


async def test_a_tool_worker_dies_in_the_middle_of_a_call(exchange: ExchangeFactory) -> None:
    gate = Gate()
    async with exchange(app, tools={"look_up": gate}) as tl:
        run = await tl.start(orders, ORDER, key="o-1")
        await gate.reached.wait()
        await tl.crash("tools")
        gate.open.set()
        began = asyncio.get_running_loop().time()
        assert await run.result() == "refunded 500 of o-1"
        assert asyncio.get_running_loop().time() - began < 5
        journal = await tl.journal(run)
    assert (gate.calls, gate.cancelled) == (2, 1)
    journal.completed("look_up", times=1)


async def test_nothing_was_given_back_by_the_worker_that_died(exchange: ExchangeFactory) -> None:
    async with exchange(app, settings={"takeovers": 1}) as tl:
        run = await tl.start(collector, None)
        await tl.settle()
        await tl.crash("agents")
        await run.signal(paid, 1)
        await tl.settle()
        assert (await run.show())["parked_reason"] == "kills-its-worker", "a death was counted, not a hand-over"


async def test_a_model_is_scripted_and_its_tokens_come_as_they_were_cut(exchange: ExchangeFactory) -> None:
    script = [ToolCall("look_up", {"order_id": "o-1"}), ModelSays(chunks=("It is ", "kn", "own."))]
    async with exchange(talking, app, model=script, tools={"look_up": "known"}) as tl:
        tl.model.token_delay = 0.2
        run = await tl.start(chat, "Where is o-1?")
        tokens = [event.data["text"] async for event in run.events() if event.type == "token"]
        assert tokens == ["It is ", "kn", "own."]
        assert await run.result() == "It is known."
        journal = await tl.journal(run)
        assert [call.messages[-1]["content"] for call in tl.model.calls] == ["Where is o-1?", "known"]
    assert journal.model_calls == 2
    journal.in_order("look_up", "openai/gpt-5-mini")


async def test_a_model_worker_dies_in_the_middle_of_an_answer(exchange: ExchangeFactory) -> None:
    asked, answering = asyncio.Event(), asyncio.Event()

    async def answer(messages: list[dict[str, Any]]) -> str:
        asked.set()
        await answering.wait()
        return "Hello"

    async with exchange(talking, app, model=answer) as tl:
        run = await tl.start(chat, "Hi")
        await asked.wait()
        await tl.crash("llm")
        answering.set()
        assert await run.result() == "Hello"
        assert len(tl.model.calls) == 2
        assert (await tl.journal(run)).model_calls == 1


async def test_a_script_that_runs_out_fails_the_run_with_its_reason(exchange: ExchangeFactory) -> None:
    async with exchange(talking, app, model=[]) as tl:
        run = await tl.start(chat, "Hi")
        await tl.settle()
        assert "Model call number 1 has no reply in the script" in (await run.show())["error"]["message"]
