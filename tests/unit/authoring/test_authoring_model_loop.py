"""The model-tool loop: what a model may do, also the nonsense, and what is recorded of it."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel

from trunkline import App, Context, testing
from trunkline.authoring.agent import InstanceView
from trunkline.domain import codec
from trunkline.domain.approvals import signal_name
from trunkline.engine.replay import RunDriver
from trunkline.testing import HangUp, ModelSays, ProviderError, ToolCall

app = App("desk")


class Verdict(BaseModel):
    """What to do."""

    refund_cents: int
    why: str = ""


class Question(BaseModel):
    order_id: str


@app.tool
def lookup(order_id: str, deep: bool = False) -> dict[str, Any]:
    """Look an order up.

    Args:
        order_id: Its number.
    """
    return {"order": order_id, "deep": deep}


@app.tool(needs_approval=True)
async def refund(cents: int) -> str:
    return f"paid {cents}"


@app.tool
def broken() -> int:
    raise ConnectionError("the line is dead")


@app.agent("expert")
async def expert(ctx: Context, question: Question) -> Verdict:
    """Knows everything about orders."""
    return Verdict(refund_cents=len(question.order_id))


@app.agent("poet")
async def poet(ctx: Context, topic: str) -> str:
    return f"a poem about {topic}"


TOOLS = [lookup, refund, broken, expert, poet]
talker = app.llm_agent("talker", model="openai/x", instructions="  Be kind.\n  Always.", tools=TOOLS)
judge = app.llm_agent("judge", model="openai/x", tools=[lookup], output=Verdict, max_turns=4)
lister = app.llm_agent("lister", model="openai/x", output=list[int], temperature=0.5, max_tokens=9, extra={"seed": 1})


def payloads(script):
    """A script that also keeps the messages of every call."""
    seen: list[list[dict[str, Any]]] = []
    replies = iter(script)

    def reply(messages):
        seen.append(messages)
        return next(replies)

    return seen, reply


def told(outcome) -> list[Any]:
    """What the model was told by its tools."""
    return [message["content"] for message in outcome.conversation if message["role"] == "tool"]


async def test_text_is_the_answer():
    outcome = await testing.run(talker, "Hello?", model=["Hello!"])
    assert outcome.output == "Hello!"
    assert outcome.conversation == [
        {"role": "user", "content": "Hello?"},
        {"role": "assistant", "content": "Hello!"},
    ]


async def test_instructions_and_earlier_runs_stand_before_the_question():
    seen, script = payloads(["Fine."])
    earlier = [{"role": "user", "content": "I am Ada."}, {"role": "assistant", "content": "Hello Ada."}]
    outcome = await testing.run(talker, "And now?", model=script, conversation=earlier)
    assert seen == [
        [{"role": "system", "content": "Be kind.\nAlways."}, *earlier, {"role": "user", "content": "And now?"}]
    ]
    assert len(outcome.conversation) == 4
    assert len(outcome.journal[-1].conversation) == 2


async def test_tools_run_in_parallel_and_answer_in_the_order_of_the_calls():
    calls = [ToolCall("lookup", {"order_id": "a"}, id="1"), ToolCall("lookup", {"order_id": "b", "deep": True}, id="2")]
    seen, script = payloads([calls, "Both found."])
    outcome = await testing.run(talker, "Where?", model=script)
    assert outcome.output == "Both found."
    assert [(m["tool_call_id"], json.loads(m["content"])) for m in seen[1] if m["role"] == "tool"] == [
        ("1", {"order": "a", "deep": False}),
        ("2", {"order": "b", "deep": True}),
    ]
    assert [step.key for step in outcome.named("lookup")] == ["gather#1.0/tool:lookup#1", "gather#1.1/tool:lookup#1"]
    assert outcome.journal[2].TYPE == "StepCompleted"  # the model's answer; then both tools were asked for at once
    assert [entry.TYPE for entry in outcome.journal[3:5]] == ["StepScheduled", "StepScheduled"]


async def test_agents_are_tools_too():
    calls = [ToolCall("expert", {"order_id": "abc"}), ToolCall("poet", {"input": "lamps"})]
    outcome = await testing.run(talker, "?", model=[calls, "Done."])
    assert told(outcome) == ['{"refund_cents":3,"why":""}', "a poem about lamps"]
    assert {child.agent for child in outcome.children} == {"expert", "poet"}


def test_what_the_model_is_told_of_its_tools():
    schemas = {tool["function"]["name"]: tool["function"] for tool in _payload(talker, "?")["tools"]}
    assert schemas["lookup"]["description"] == "Look an order up."
    assert schemas["lookup"]["parameters"]["properties"]["order_id"]["description"] == "Its number."
    assert schemas["expert"]["description"] == "Knows everything about orders."
    assert schemas["expert"]["parameters"]["required"] == ["order_id"]
    assert schemas["poet"]["parameters"] == {
        "type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("call", "type_", "says"),
    [
        (ToolCall("lokup", {}), "NoSuchTool", "There is no tool 'lokup'. The tools are: lookup, refund, broken"),
        (ToolCall("", {}), "NoSuchTool", "There is no tool ''"),
        (ToolCall("lookup", {}), "BadInput", "order_id: Field required"),
        (ToolCall("lookup", {"order_id": 5, "x": 1}), "BadInput", "x: Extra inputs are not permitted"),
        (ToolCall("lookup", '{"order_id": "a"'), "BadJson", "the arguments is not acceptable JSON"),
        (ToolCall("lookup", "NaN"), "BadJson", "not acceptable"),
        (ToolCall("lookup", '"a"'), "BadInput", "the arguments are not a JSON object"),
        (ToolCall("lookup", '{"order_id": "\\u0000"}'), "BadJson", "NUL"),
        (ToolCall("expert", {"order": 1}), "BadInput", "order_id: Field required"),
        (ToolCall("poet", {"topic": "x"}), "BadInput", "agent 'poet'"),
        (ToolCall("broken", {}), "ConnectionError", "the line is dead"),
    ],
)
async def test_a_wrong_call_is_explained_to_the_model_and_the_loop_goes_on(call, type_, says):
    outcome = await testing.run(talker, "?", model=[call, "I see."])
    assert outcome.output == "I see."
    (content,) = told(outcome)
    error = json.loads(content)["error"]
    assert error["type"] == type_
    assert says in error["message"]
    assert "Traceback" not in content


async def test_calls_without_ids_or_with_one_twice_get_ids():
    calls = [ToolCall("lookup", {"order_id": "a"}, id="same"), ToolCall("lookup", {"order_id": "b"}, id="same")]
    seen, script = payloads([calls, "Done."])
    await testing.run(talker, "?", model=script)
    assert [call["id"] for call in seen[1][2]["tool_calls"]] == ["same", "call_2"]
    assert [message["tool_call_id"] for message in seen[1][3:]] == ["same", "call_2"]


async def test_too_many_calls_at_once_are_not_carried_out():
    calls = [ToolCall("lookup", {"order_id": str(number)}) for number in range(40)]
    outcome = await testing.run(talker, "?", model=[calls, "Done."])
    assert len(outcome.named("lookup")) == 32
    assert told(outcome)[32:] == ["Not carried out: at most 32 calls at once. Call it again."] * 8


@pytest.mark.parametrize(("approved", "says"), [(True, "paid 5"), (False, "the approval was refused by test")])
async def test_a_tool_that_needs_approval_asks_first(approved, says):
    outcome = await testing.run(
        talker, "?", model=[ToolCall("refund", {"cents": 5}), "Done."], approvals={"refund": approved}
    )
    assert says in told(outcome)[0]
    subject = {"tool": "refund", "arguments": {"cents": 5}}
    assert outcome.named(signal_name("refund", subject))[0].args == {"subject": subject}
    assert len(outcome.named("refund")) == int(approved)


# --- structured output ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '{"refund_cents": 5, "why": "late"}',
        '```json\n{"refund_cents": 5, "why": "late"}\n```',
        ' \n```\n{"refund_cents": "5", "why": "late"}\n```\n',
    ],
)
async def test_json_that_fits_is_the_answer(text):
    assert (await testing.run(judge, "?", model=[text])).output == Verdict(refund_cents=5, why="late")


@pytest.mark.parametrize(
    ("nonsense", "says"),
    [
        ("Certainly! Five cents.", "The answer is not acceptable JSON"),
        ("", "The answer is empty."),
        ("   \n", "The answer is empty."),
        ("{}", "The answer does not fit the schema: refund_cents: Field required"),
        ('{"refund_cents": "lots"}', "refund_cents: Input should be a valid integer"),
        ('{"refund_cents": NaN}', "The answer is not acceptable JSON"),
        ("[1, 2]", "The answer does not fit the schema"),
        ('{"refund_cents": 5', "The answer is not acceptable JSON"),
    ],
)
async def test_nonsense_is_answered_with_what_is_wrong_and_asked_again(nonsense, says):
    outcome = await testing.run(judge, "?", model=[ModelSays(nonsense), Verdict(refund_cents=1)])
    assert outcome.output == Verdict(refund_cents=1)
    correction = outcome.conversation[2]
    assert correction["role"] == "user"
    assert says in correction["content"]
    assert correction["content"].endswith("Answer again, with nothing but the corrected answer.")


async def test_re_asking_is_bounded():
    outcome = await testing.run(judge, "?", model=lambda messages: "nonsense")
    assert outcome.error["type"] == "NoAnswer"
    assert "no acceptable answer in 3 attempts" in outcome.error["message"]
    assert len(outcome.steps) == 3


async def test_turns_are_bounded():
    outcome = await testing.run(judge, "?", model=lambda messages: ToolCall("lookup", {"order_id": "a"}))
    assert outcome.error["type"] == "TurnsExhausted"
    assert "has made 4 model calls" in outcome.error["message"]
    assert len([step for step in outcome.steps if step.kind == "llm"]) == 4


async def test_an_output_that_is_no_object_is_wrapped_for_the_provider():
    assert (await testing.run(lister, "?", model=['{"value": [1, 2]}'])).output == [1, 2]
    assert (await testing.run(lister, "?", model=["[1, 2]"])).output == [1, 2]
    format_ = _payload(lister, "?")["response_format"]
    assert format_["schema"]["properties"]["value"] == {"type": "array", "items": {"type": "integer"}}


# --- what is recorded -----------------------------------------------------------------------------------------------


def _payload(agent, question, entries=()) -> dict[str, Any]:
    """What an LLM worker would get for the open model call."""
    body = partial(agent.coroutine, view=InstanceView("default", agent.name, "test"))
    started = testing.running._started(agent, question, "", "test", 0.0)
    driver = RunDriver.replay([started, *entries], body, agent=agent.name)
    (key,) = driver.open_steps
    return driver.payload(key)


async def test_calls_are_recorded_as_what_was_added():
    outcome = await testing.run(judge, "?", model=[ToolCall("lookup", {"order_id": "a"}), Verdict(refund_cents=1)])
    first, second = (step.args for step in outcome.steps if step.kind == "llm")
    assert first["added"] == [{"role": "user", "content": "?"}]
    assert [message["role"] for message in second["added"]] == ["assistant", "tool"]
    assert first["tools"] == ["lookup"]
    assert first["output"] == "Verdict"
    assert first["prompt_digest"] != second["prompt_digest"]


async def test_the_exact_prompt_is_made_again_on_replay():
    seen, script = payloads([ToolCall("lookup", {"order_id": "a"}), Verdict(refund_cents=1)])
    outcome = await testing.run(judge, "?", model=script)
    ends = [place for place, entry in enumerate(outcome.journal) if getattr(entry, "kind", "") == "llm"]
    for call, end in enumerate(ends):
        payload = _payload(judge, "?", outcome.journal[1 : end + 1])
        assert payload["messages"] == seen[call]
        args = outcome.journal[end].args
        prompt = {name: payload[name] for name in ("model", "messages", "tools", "response_format")}
        assert codec.digest(prompt) == args["prompt_digest"]


async def test_settings_and_policies_reach_the_step():
    outcome = await testing.run(lister, "?", model=["[1]"])
    entry = outcome.journal[1]
    assert entry.args["settings"] == {"temperature": 0.5, "max_tokens": 9, "seed": 1}
    assert entry.options["pool"] == "default"
    assert entry.options["timeout"] == 120.0
    assert entry.options["retry"]["retries"] == 3


async def test_a_provider_that_fails_for_a_while_and_for_good():
    outcome = await testing.run(talker, "?", model=[ProviderError(503), HangUp(), "Back."])
    assert outcome.output == "Back."
    assert outcome.steps[0].attempts == 3
    outcome = await testing.run(talker, "?", model=[ProviderError(401, "no key")])
    assert outcome.error["type"] == "ModelFailed"
    assert "no key" in outcome.error["message"]


async def test_a_reply_that_is_not_what_llm_workers_send_fails_the_run():
    journal = (await testing.run(talker, "?", model=["Hi"])).journal
    body = partial(talker.coroutine, view=InstanceView("default", "talker", "test"))
    driver = RunDriver.replay(journal[:2], body, agent="talker")
    reply = type(journal[2])(journal[2].run, key=journal[2].key, value={"tool_calls": "many"}, at=0.0)
    driver.deliver(reply)
    (failed,) = driver.take_commands()
    assert failed.error["type"] == "BadOutput"
    assert "the reply of an LLM worker" in failed.error["message"]
