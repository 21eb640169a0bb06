"""``testing.run`` itself: its fakes, scripts, signals, and its words when a test does not give enough."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from trunkline import App, BadDeclaration, BadInput, Context, RunFailedError, ToolContext, testing

app = App("shop")
other = App("warehouse")


class Receipt(BaseModel):
    cents: int


@app.tool
async def pay(cents: int) -> Receipt:
    raise ConnectionError("no bank here")


@other.tool
def shelf(sku: str) -> int:
    return len(sku)


@app.agent("buyer")
async def buyer(ctx: Context, cents: int) -> Receipt:
    return await ctx.call(pay, cents)


@app.agent("patient_buyer")
async def patient_buyer(ctx: Context, cents: int) -> Receipt:
    await ctx.sleep("1h")
    return await ctx.within("1m", ctx.call(pay, cents))


@app.agent("picker")
async def picker(ctx: Context, sku: str) -> int:
    return await ctx.call(shelf, sku)


@app.agent("asker")
async def asker(ctx: Context, sku: str) -> int:
    return await ctx.ask(counter, sku)


@other.agent("counter")
async def counter(ctx: Context, sku: str) -> int:
    return len(sku)


paid = app.signal("paid", Receipt)


@app.agent("waiter")
async def waiter(ctx: Context, _: Any) -> bool:
    await ctx.wait_for(paid)
    return (await ctx.approve("deal")).approved


chat = app.llm_agent("chat", model="m")


async def faked(cents: int) -> Receipt:
    return Receipt(cents=cents * 2)


def with_context(context: ToolContext, cents: int) -> dict[str, int]:
    return {"cents": cents + context.attempt}


@pytest.mark.parametrize(
    ("fake", "cents"),
    [
        (Receipt(cents=1), 1),
        ({"cents": 2}, 2),
        (lambda cents: Receipt(cents=cents), 5),
        (faked, 10),
        (with_context, 6),
        (lambda tc, **arguments: Receipt(cents=arguments["cents"] * 100), 500),
    ],
)
async def test_fakes_are_values_and_functions(fake, cents):
    assert (await testing.run(buyer, 5, tools={"pay": fake})).output.cents == cents


@pytest.mark.parametrize(("fake", "type_"), [(OSError, "OSError"), (OSError("x"), "OSError"), ("wrong", "BadOutput")])
async def test_fakes_that_fail(fake, type_):
    outcome = await testing.run(buyer, 5, tools={"pay": fake})
    assert outcome.steps[0].error["type"] == type_
    with pytest.raises(RunFailedError, match=f"ended as failed: ToolFailed: .*{type_}"):
        _ = outcome.output


async def test_a_real_tool_that_fails_is_told_apart():
    outcome = await testing.run(buyer, 5)
    with pytest.raises(
        RunFailedError, match=r"No fake was given for pay, so the real function ran: pass tools=\{'pay'"
    ):
        _ = outcome.output


async def test_a_fake_for_a_tool_that_is_not_there():
    with pytest.raises(testing.UnknownFake, match=r"tools= has a fake 'pya', and there is no such tool. Known: pay"):
        await testing.run(buyer, 5, tools={"pya": 1})


async def test_tools_and_agents_of_other_apps():
    outcome = await testing.run(picker, "abc")
    assert "Pass a fake, tools={'shelf': …}, or apps=[warehouse]" in outcome.error["message"]
    assert (await testing.run(picker, "abc", apps=[other])).output == 3
    assert "pass apps=[…]" in (await testing.run(asker, "abc")).error["message"]
    assert (await testing.run(asker, "abc", apps=[other])).output == 3


async def test_input_that_does_not_fit_is_refused_at_once():
    with pytest.raises(BadInput, match="agent 'buyer'"):
        await testing.run(buyer, "lots")  # type: ignore[arg-type]


async def test_a_script_that_runs_out():
    with pytest.raises(testing.ScriptExhausted) as caught:
        await testing.run(chat, "Hello?")
    assert "Model call number 1 has no reply in the script, which holds 0" in str(caught.value)
    assert "Its last message was: Hello?" in str(caught.value)
    with pytest.raises(testing.ScriptExhausted, match="Model call number 2"):
        await testing.run(chat, "Hello?", model=[""])


async def test_a_script_that_is_only_text_is_a_mistake():
    outcome = await testing.run(chat, "Hello?", model="Hi")
    assert "write model=['Hi']" in outcome.error["message"]


async def test_waits_that_the_test_does_not_answer():
    with pytest.raises(testing.Stuck, match=r"waits for the signal 'paid'.*Pass signals=\[\('paid', data\)\]"):
        await testing.run(waiter, None)
    with pytest.raises(testing.Stuck, match=r"waits for the approval 'deal'.*Pass approvals=\{'deal': True\}"):
        await testing.run(waiter, None, signals=[("paid", Receipt(cents=1))])
    outcome = await testing.run(waiter, None, signals=[("paid", {"cents": 1})], approvals={"deal": False})
    assert outcome.output is False


async def test_a_handler_that_is_not_there():
    with pytest.raises(BadDeclaration, match=r"buyer handles no event 'order.lost'. Its handlers are: none"):
        await testing.run(buyer, {}, handler="order.lost")


async def test_asked_instances_take_one_run_at_a_time_and_keep_their_state():
    @app.agent("till")
    async def till(ctx: Context, cents: int) -> int:
        ctx.state["total"] = ctx.state.get("total", 0) + cents
        await ctx.sleep(1)
        return ctx.state["total"]

    @app.agent("crowd")
    async def crowd(ctx: Context, people: int) -> list[int]:
        return await ctx.map(lambda cents: ctx.ask(till, cents, key="one"), range(people))

    assert (await testing.run(crowd, 4)).output == [0, 1, 3, 6]


async def test_it_waits_for_no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, timers = asyncio.get_running_loop(), []

    def call_at(when: float, *args: Any, **more: Any) -> asyncio.TimerHandle:
        timers.append(when)
        return asyncio.BaseEventLoop.call_at(loop, when, *args, **more)

    monkeypatch.setattr(loop, "call_at", call_at)
    assert (await testing.run(patient_buyer, 5, tools={"pay": Receipt(cents=1)})).output == Receipt(cents=1)
    assert timers == []
    await asyncio.sleep(0.001)
    assert len(timers) == 1, "so it is seen"
