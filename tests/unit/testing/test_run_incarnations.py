"""Handlers that begin anew in ``testing.run``: with another input, after a failure, or because they are permanent."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from trunkline import App, BadDeclaration, Context, RestartPolicy, testing
from trunkline.domain.journal import RunContinued, RunRestarted, StepScheduled

app = App("anew")
Go = app.signal("go", str)
QUICK = RestartPolicy(restart="transient", max_restarts=2, within=3600)


class Tally(BaseModel):
    total: int = 0


@app.tool(effect="idempotent")
async def charge(cents: int) -> str:
    raise AssertionError("every test gives a fake")


@app.tool(effect="unsafe")
async def pay(cents: int) -> str:
    raise AssertionError("every test gives a fake")


@app.agent("counting")
async def counting(ctx: Context[Tally], left: int) -> list[float]:
    ctx.state.total += left
    ctx.say({"role": "user", "content": str(left)})
    await ctx.call(charge, left)
    if left:
        ctx.continue_as_new(left - 1)
    return [ctx.state.total, ctx.random()]


@app.agent("failing", restart=QUICK)
async def failing(ctx: Context[Tally], at: int) -> str:
    ctx.state.total += 1
    await ctx.call(charge, at)
    if ctx.restarts < at:
        raise ValueError(f"not yet: {ctx.restarts}")
    return f"{ctx.state.total} after {ctx.restarts}"


@app.agent("paying", restart=QUICK)
async def paying(ctx: Context, cents: int) -> str:
    await ctx.call(pay, cents)
    raise ValueError("the printer is out of paper")


@app.agent("lasting", restart=RestartPolicy(restart="permanent", max_restarts=2, within=3600))
async def lasting(ctx: Context[Tally], _: None) -> str:
    ctx.state.total += 1
    return await ctx.wait_for(Go)


@app.agent("listening")
async def listening(ctx: Context, heard: list[str]) -> list[str]:
    await ctx.sleep(1)
    said = await ctx.wait_for(Go)
    if len(heard) < 2:
        ctx.continue_as_new([*heard, said])
    return [*heard, said]


@app.agent("greedy", restart=QUICK)
async def greedy(ctx: Context, swallow: bool) -> str:
    try:
        ctx.continue_as_new(False) if swallow else None
    except Exception:  # noqa: BLE001 - what it must not take
        return "swallowed"
    return "began anew"


@app.agent("branching")
async def branching(ctx: Context, _: None) -> str:
    async def inside() -> str:
        ctx.continue_as_new(None)

    try:
        await ctx.gather(inside(), ctx.sleep(1))
    except BadDeclaration as error:
        return str(error)
    return "nothing"


FAKES = {"charge": lambda cents: "charged", "pay": lambda cents: "paid"}


@pytest.mark.parametrize("crash", [False, True])
async def test_each_incarnation_has_its_own_input_steps_and_chance(crash: bool) -> None:
    run = await testing.run(counting, 3, tools=FAKES, crashes=crash)
    assert run.output[0] == 6
    assert run.state.total == 6
    assert [message["content"] for message in run.conversation] == ["3", "2", "1", "0"]
    keys = [entry.key for entry in run.journal if isinstance(entry, StepScheduled)]
    assert keys == ["tool:charge#1", "@2/tool:charge#1", "@3/tool:charge#1", "@4/tool:charge#1"]
    run.journal.completed("charge", times=4)
    assert (await testing.run(counting, 0, tools=FAKES)).output[1] != run.output[1]


async def test_a_run_that_failed_is_begun_again_with_the_state_that_it_began_with() -> None:
    run = await testing.run(failing, 2, tools=FAKES)
    assert run.output == "1 after 2"
    restarted = [entry for entry in run.journal if isinstance(entry, RunRestarted)]
    assert [(entry.number, len(entry.restarts), entry.error["message"]) for entry in restarted if entry.error] == [
        (2, 1, "not yet: 0"),
        (3, 2, "not yet: 1"),
    ]
    assert [entry.name for entry in run.journal if isinstance(entry, StepScheduled)][1] == "restart", "it waits first"


async def test_too_many_restarts_are_a_failure_that_tells_the_last_error() -> None:
    run = await testing.run(failing, 3, tools=FAKES)
    assert run.error is not None
    assert run.error["type"] == "RestartsExhausted"
    assert run.error["message"] == (
        "restarted 2 times within 3600 s, and that is all it may be; the last error was ValueError: not yet: 2"
    )


async def test_what_may_not_repeat_is_not_begun_again_after_a_failure() -> None:
    run = await testing.run(paying, 5, tools=FAKES)
    assert run.error is not None
    assert run.error["type"] == "ValueError"
    assert run.error["message"] == (
        "the printer is out of paper (not begun again, because step tool:pay#1 had an effect that may not repeat)"
    )
    run.journal.completed("pay", times=1)


async def test_a_permanent_run_keeps_what_it_returned_with_until_it_returned_too_often() -> None:
    run = await testing.run(lasting, None, signals=[("go", "a"), ("go", "b"), ("go", "c")])
    assert run.error is not None
    assert run.error["type"] == "RestartsExhausted"
    assert run.state.total == 3
    assert run.error["message"] == "restarted 2 times within 3600 s, and that is all it may be"


@pytest.mark.parametrize("crash", [False, True])
async def test_signals_are_heard_by_whichever_incarnation_waits(crash: bool) -> None:
    said = [("go", "a"), ("go", "b"), ("go", "c")]
    run = await testing.run(listening, [], signals=said, crashes=crash)
    assert run.output == ["a", "b", "c"]
    assert sum(isinstance(entry, RunContinued) for entry in run.journal) == 2


async def test_no_except_takes_it_and_no_branch_may_call_it() -> None:
    assert (await testing.run(greedy, True)).output == "began anew"
    assert "it is called in a gather, map, race or within" in (await testing.run(branching, None)).output
