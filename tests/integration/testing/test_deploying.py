"""Definitions change while runs are under way: each keeps what it began with; new ones begin with what is current."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline import App
from trunkline.domain.errors import NotDeployable, UnknownVersion
from trunkline.testing import Exchange, ExchangeFactory, ToolCall


def desk(
    instructions: str, *, describe: str = "Pay it back.", more: bool = False, keep: bool = True, **settings: Any
) -> App:
    app = App("desk")

    @app.tool(needs_approval=True)
    async def refund(cents: int) -> str:
        return f"paid {cents}"

    refund.spec = refund.spec.model_copy(update={"description": describe})

    @app.tool
    async def look(order: str) -> str:
        return f"{order} is late"

    tools = [refund] * keep + [look] * more
    app.llm_agent("triage", model="openai/x", instructions=instructions, tools=tools, **settings)
    return app


def model(messages: list[dict[str, Any]]) -> Any:
    """It asks for one refund, and then says which instructions it was given."""
    if any(message["role"] == "tool" for message in messages):
        return f"{messages[0]['content']}: {messages[-1]['content']}"
    return ToolCall("refund", {"cents": 5})


OLD = desk("the old way")
NEW = desk("the new way", describe="Give it back, all of it.", more=True, keep=False, temperature=0.5)


async def answer(tl: Exchange) -> str:
    run = await tl.start("triage", "help")
    await tl.approve("refund", run=run.id)
    return str(await run.result())


async def test_a_run_keeps_the_definition_that_it_began_with(exchange: ExchangeFactory) -> None:
    async with exchange(OLD, model=model) as tl:
        run = await tl.start("triage", "help")
        await tl.settle()
        [moved] = await tl.deploy(NEW)
        assert (moved["version"], moved["previous"]) == (2, 1)
        await tl.crash("agents")
        await tl.approve("refund", run=run.id)
        assert await run.result() == "the old way: paid 5"
        [first, last] = (call.body for call in tl.model.calls)
        assert last["tools"] == first["tools"]
        assert last["tools"][0]["function"]["description"] == "Pay it back."
        assert "temperature" not in last
        (await tl.journal(run)).completed("openai/x", times=2)


async def test_new_runs_use_what_is_deployed_and_what_was_rolled_back_to(exchange: ExchangeFactory) -> None:
    other = desk("the new way", temperature=0.5)
    async with exchange(OLD, model=model) as tl:
        assert await answer(tl) == "the old way: paid 5"
        await tl.deploy(other)
        assert await answer(tl) == "the new way: paid 5"
        assert tl.model.calls[-1].body["temperature"] == 0.5
        await tl.rollback("triage", to=1)
        assert await answer(tl) == "the old way: paid 5"
        assert [one["version"] for one in (await tl.definitions())["items"]] == [1]
        assert [one["version"] for one in (await tl.definitions("triage"))["items"]] == [2, 1]


async def test_a_worker_that_starts_does_not_undo_a_deployment(exchange: ExchangeFactory) -> None:
    async with exchange(OLD, model=model) as tl:
        await tl.deploy(desk("the new way"))
        await tl.crash("agents")
        assert await answer(tl) == "the new way: paid 5"


async def test_an_agent_is_not_given_tools_that_no_worker_has(exchange: ExchangeFactory) -> None:
    bare = App("desk")
    bare.llm_agent("triage", model="openai/x", instructions="without")
    async with exchange(bare, model=model) as tl:
        with pytest.raises(NotDeployable, match="refund"):
            await tl.deploy(OLD)


async def test_an_unknown_version_is_named(exchange: ExchangeFactory) -> None:
    async with exchange(OLD, model=model) as tl:
        with pytest.raises(UnknownVersion, match="definitions list triage"):
            await tl.rollback("triage", to=7)
