"""Claims about a journal: what holds, what does not, and what the test is told then."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline import App, Context, testing
from trunkline.testing import Journal

app = App("claims")
go = app.signal("go", str)


@app.tool(retries=1)
async def look(sku: str) -> int:
    return len(sku)


@app.tool
async def pay(cents: int, to: str) -> str:
    return f"{cents} to {to}"


@app.tool(needs_approval=True)
async def send(to: str) -> str:
    return to


triage = app.llm_agent("triage", model="m", tools=[look])


@app.agent("buyer")
async def buyer(ctx: Context, sku: str) -> str:
    first, second = await ctx.gather(ctx.call(look, sku), ctx.call(look, sku + sku))
    await ctx.ask(triage, "What now?")
    await ctx.sleep("1d")
    return await ctx.call(pay, first + second, to="shop")


@app.agent("sender")
async def sender(ctx: Context, to: str) -> str:
    return await ctx.call(send, to)


async def bought(**changes: Any) -> Journal:
    script = [testing.ToolCall("look", {"sku": "x"}), "Buy it."]
    return (await testing.run(buyer, "pen", model=script, **changes)).journal


async def test_claims_that_hold() -> None:
    journal = await bought()
    assert [step.value for step in journal.completed("look", times=3)] == [3, 6, 1]
    assert [step.args for step in journal.completed("look", args={"sku": "penpen"})] == [{"sku": "penpen"}]
    journal.completed("pay", times=1, args={"cents": 9})
    journal.completed("pay", times=1, args={"cents": 9, "to": "shop"})
    journal.completed("triage", times=1, args="What now?")
    journal.completed("refund", times=0)
    journal.never("refund")
    journal.in_order("look", "triage", "sleep", "pay")
    journal.in_order("triage", "pay")
    journal.in_order("look", "m", "look", "m", "pay"), "what an asked run did stands between"
    assert journal.model_calls == 2


async def test_a_failure_is_claimed_by_type_or_text() -> None:
    journal = await bought(tools={"pay": ConnectionError("no bank")})
    journal.failed("pay")
    journal.failed("pay", times=1, args={"cents": 9}, error="ConnectionError")
    journal.failed("pay", error="no bank")
    with pytest.raises(AssertionError, match="pay never failed with 'Denied'"):
        journal.failed("pay", error="Denied")
    with pytest.raises(AssertionError, match="pay completed 0 times, and it should be once"):
        journal.completed("pay", times=1)


@pytest.mark.parametrize(
    ("claim", "told"),
    [
        (lambda journal: journal.completed("refund"), "refund never completed."),
        (lambda journal: journal.completed("look", times=1), "look completed 3 times, and it should be once."),
        (lambda journal: journal.completed("pay", times=2), "pay completed once, and it should be twice."),
        (
            lambda journal: journal.completed("pay", args={"cents": 8}),
            'pay completed with {"cents":9,"to":"shop"}, and not with {"cents":8}.',
        ),
        (
            lambda journal: journal.completed("look", times=3, args={"sku": "pen"}),
            'look completed with {"sku":"penpen"}, and not with {"sku":"pen"}.',
        ),
        (
            lambda journal: journal.completed("pay", args={"currency": None}),
            'pay completed with {"cents":9,"to":"shop"}, and not with {"currency":null}.',
        ),
        (lambda journal: journal.failed("pay"), "pay never failed."),
        (lambda journal: journal.never("pay"), "pay was asked for once, and it never should be."),
        (lambda journal: journal.in_order("pay", "triage"), "triage was not asked for after pay had ended."),
        (lambda journal: journal.in_order("refund"), "refund was not asked for."),
    ],
)
async def test_claims_that_do_not_hold_tell_what_was(claim: Any, told: str) -> None:
    with pytest.raises(AssertionError) as caught:
        claim(await bought())
    first, *steps = str(caught.value).splitlines()
    assert first == told
    assert steps == [
        "The steps were:",
        '  tool look {"sku":"pen"} → 3',
        '  tool look {"sku":"penpen"} → 6',
        '  agent triage "What now?" → "Buy it."',
        '    llm m → calls look {"sku":"x"}',
        '    tool look {"sku":"x"} → 1',
        '    llm m → "Buy it."',
        "  sleep sleep → null",
        '  tool pay {"cents":9,"to":"shop"} → "9 to shop"',
    ]


async def test_steps_side_by_side_are_in_no_order() -> None:
    @App("side_by_side").agent("parallel")
    async def parallel(ctx: Context, _: None) -> None:
        await ctx.gather(ctx.step(one), ctx.step(other))

    journal = (await testing.run(parallel, None)).journal
    with pytest.raises(AssertionError, match="other was not asked for after one had ended"):
        journal.in_order("one", "other")


async def test_a_step_that_is_open_is_not_done() -> None:
    whole = await bought()
    half = Journal(whole[:2])
    with pytest.raises(AssertionError, match="look was asked for, and has not ended"):
        half.in_order("look")
    assert str(half) == 'tool look {"sku":"pen"} is open'


def one() -> int:
    return 1


def other() -> int:
    return 2


async def test_an_approval_goes_by_its_name() -> None:
    outcome = await testing.run(sender, "ann", approvals={"send": True})
    outcome.journal.in_order("approve:send", "send")
    refused = await testing.run(sender, "ann", approvals={"send": False})
    refused.journal.completed("approve:send", times=1)
    refused.journal.never("send")
    assert "wait approve:send" in str(refused.journal)


def test_an_empty_journal_says_so() -> None:
    with pytest.raises(AssertionError, match=r"look never completed.\nThe steps were:\n  no steps"):
        Journal().completed("look")
