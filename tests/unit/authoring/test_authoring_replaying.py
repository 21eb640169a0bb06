"""Recorded runs held against other code, and model-driven ones against the definition that they began with."""

from __future__ import annotations

from typing import Any

from trunkline import App, Context, testing
from trunkline.authoring.instance import InstanceView
from trunkline.authoring.replaying import replay
from trunkline.testing import ToolCall

SCRIPT = [ToolCall("refund", {"cents": 5}), "done"]


def desk(instructions: str, *, listed: bool = True, there: bool = True) -> App:
    app = App("desk")
    tools: list[Any] = []
    if there:

        @app.tool
        async def refund(cents: int) -> str:
            return f"paid {cents}"

        tools = [refund] * listed
    app.llm_agent("triage", model="openai/x", instructions=instructions, tools=tools)
    return app


OLD = desk("the old way")
VIEW = InstanceView("default", "triage", "one")


async def recorded() -> list[Any]:
    return (await testing.run(OLD.agents["triage"], "help", model=SCRIPT)).journal


async def test_what_was_not_changed_fits() -> None:
    journal = await recorded()
    verdict = replay(OLD, VIEW, journal[0].run, journal)
    assert verdict.fits
    assert (verdict.run, verdict.agent, verdict.key) == (journal[0].run, "triage", "one")


async def test_other_instructions_would_ask_another_prompt_but_not_of_a_run_that_keeps_its_own() -> None:
    journal = await recorded()
    new, begun_with = desk("the new way"), OLD.agents["triage"].spec.model
    assert "prompt_digest" in replay(new, VIEW, journal[0].run, journal).difference
    assert replay(new, VIEW, journal[0].run, journal, model=begun_with).fits


async def test_a_tool_that_the_agent_does_not_use_any_more_is_still_carried_out() -> None:
    journal, begun_with = await recorded(), OLD.agents["triage"].spec.model
    assert replay(desk("new", listed=False), VIEW, journal[0].run, journal, model=begun_with).fits


async def test_a_tool_that_is_gone_is_found_before_it_is_deployed() -> None:
    journal, begun_with = await recorded(), OLD.agents["triage"].spec.model
    assert "tool:refund" in replay(desk("new", there=False), VIEW, journal[0].run, journal, model=begun_with).difference


async def test_a_definition_that_was_recorded_without_its_tools_takes_those_of_the_code() -> None:
    journal, spec = await recorded(), OLD.agents["triage"].spec
    assert spec.model is not None
    earlier = spec.model.model_copy(update={"tools": None, "answer": None})
    assert replay(desk("new"), VIEW, journal[0].run, journal, model=earlier).fits


async def test_the_model_is_told_no_tool_of_the_app_that_its_definition_does_not_have() -> None:
    app = desk("alone", listed=False)
    outcome = await testing.run(app.agents["triage"], "help", model=SCRIPT)
    assert [entry.TYPE for entry in outcome.journal].count("StepScheduled") == 2  # the two calls of the model


async def test_an_agent_that_is_gone_and_a_run_that_has_not_begun() -> None:
    journal = await recorded()
    assert "no agent 'triage'" in replay(App("desk"), VIEW, journal[0].run, journal).difference
    assert replay(OLD, VIEW, "another", journal).fits


async def test_an_ended_run_is_held_against_the_conversation_that_it_began_with() -> None:
    app = App("memory")

    @app.agent("keeper")
    async def keeper(ctx: Context, word: str) -> int:
        ctx.say({"role": "user", "content": word})
        return len(ctx.conversation)

    first = (await testing.run(keeper, "a")).journal
    second = [type(entry)("second", **entry.body()) for entry in first]
    view = InstanceView("default", "keeper", "one")
    assert replay(app, view, "second", second).fits
    told = replay(app, view, "second", [*first, *second]).difference
    assert "the end of the run with output 1" in told
    assert "output 2" in told
