"""Every method of ``Context``, run on the engine."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from trunkline import (
    App,
    Approval,
    AskFailed,
    BadDeclaration,
    BadInput,
    CloudEvent,
    Context,
    NotDurable,
    NotJson,
    RunCancelled,
    StepError,
    TimedOut,
    ToolFailed,
    testing,
)

app = App("shop")
START = datetime(2026, 1, 1, tzinfo=UTC)


class Payment(BaseModel):
    cents: int


class Basket(BaseModel):
    skus: list[str] = []
    paid: bool = False


paid = app.signal("paid", Payment)


@app.tool(retries=2)
async def weigh(sku: str) -> int:
    return len(sku)


@app.tool(needs_approval=True)
def pay(cents: int) -> str:
    return f"paid {cents}"


@app.agent("echo")
async def echo(ctx: Context, text: str) -> str:
    return f"{text} from {ctx.key}"


_agents = 0


def agent(handler, **options):
    """An agent around ``handler``, with a name of its own."""
    global _agents  # noqa: PLW0603
    _agents += 1
    return app.agent(f"agent{_agents}", **options)(handler)


async def run(handler, input=None, **options):  # noqa: A002
    return await testing.run(agent(handler), input, **options)


# --- effects --------------------------------------------------------------------------------------------------------


async def test_call_retries_and_then_raises_what_the_tool_raised():
    async def handler(ctx: Context, _: Any) -> str:
        try:
            return str(await ctx.call(weigh, "abc"))
        except ToolFailed as error:
            return f"{error.type}: {error.message}"

    outcome = await run(handler, tools={"weigh": ValueError("no scales")})
    assert outcome.output == "ValueError: no scales"
    assert outcome.named("weigh")[0].attempts == 3


async def test_a_later_attempt_may_succeed_with_the_same_idempotency_key():
    keys = []

    def flaky(tc, sku):
        keys.append((tc.attempt, tc.idempotency_key))
        if tc.attempt < 3:
            raise OSError("gone")
        return 7

    async def handler(ctx: Context, _: Any) -> int:
        return await ctx.call(weigh, "abc")

    assert (await run(handler, tools={"weigh": flaky})).output == 7
    assert [attempt for attempt, _ in keys] == [1, 2, 3]
    assert len({key for _, key in keys}) == 1


async def test_call_refuses_arguments_at_once():
    async def handler(ctx: Context, _: Any) -> None:
        with pytest.raises(BadInput, match="sku: Input should be a valid string"):
            ctx.call(weigh, 5)  # type: ignore[arg-type]
        with pytest.raises(NotJson):
            ctx.step(print, object())

    outcome = await run(handler)
    assert outcome.output is None
    assert outcome.steps == []


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda ctx: ctx.call(len, "x"), "Declare it with @app.tool, or write ctx.step(len, argument)"),
        (lambda ctx: ctx.call("weigh", "x"), "'weigh' is not a tool"),
        (lambda ctx: ctx.call(echo, "x"), "It is an agent: write ctx.ask(echo, input)"),
        (lambda ctx: ctx.ask(weigh, "x"), "It is a tool: write ctx.call(weigh, argument)"),
        (lambda ctx: ctx.ask("echo", "x"), "Pass what @app.agent or app.llm_agent returned"),
        (lambda ctx: ctx.ask(echo, 5), "The input of agent 'echo' does not fit its type"),
        (lambda ctx: ctx.ask(echo, "x", key=""), "it is empty"),
        (lambda ctx: ctx.ask(echo, "x", key=5), "it is empty or not text"),
        (lambda ctx: ctx.wait_for("paid"), 'Declare it: paid = app.signal("paid", Payment)'),
        (lambda ctx: ctx.approve("my refund"), "is not a legal approval name"),
        (lambda ctx: ctx.approve("refund", object()), "the subject of an approval cannot be encoded as JSON"),
        (lambda ctx: ctx.approve("refund", timeout="soon"), "'soon' is not a duration"),
        (lambda ctx: ctx.sleep("-1s"), "is not a duration"),
        (lambda ctx: ctx.sleep(float("nan")), "is not a duration"),
        (lambda ctx: ctx.emit("order placed"), "The input of ctx.emit does not fit its type: type"),
        (lambda ctx: ctx.emit(5), "The input of ctx.emit"),
        (lambda ctx: ctx.emit("trunkline.cancel"), "are reserved"),
        (lambda ctx: ctx.emit("a.b", subject=""), "subject"),
        (lambda ctx: ctx.emit("a.b", {"x": float("inf")}), "NaN and infinities are not JSON numbers"),
        (lambda ctx: ctx.step(5), "5 is not a function"),
        (lambda ctx: ctx.step(len, "x", timeout=0), "timeout= is zero"),
        (lambda ctx: ctx.step(len, "x", retries=-1), "retries"),
        (lambda ctx: ctx.keyed("a b"), "is not a legal step key name"),
        (lambda ctx: ctx.race(), "it has nothing to race"),
        (lambda ctx: ctx.map(weigh, [], concurrency=0), "concurrency"),
    ],
)
async def test_misuse_says_what_to_write(call, says):
    async def handler(ctx: Context, _: Any) -> None:
        call(ctx)

    outcome = await run(handler)
    assert says in outcome.error["message"]
    assert outcome.steps == []


async def test_a_tool_that_is_called_as_a_function_in_a_handler_is_explained():
    async def handler(ctx: Context, _: Any) -> int:
        return await weigh("abc")

    outcome = await run(handler)
    assert outcome.error["type"] == "NotDurable"
    assert "tool 'weigh' as a plain function" in outcome.error["message"]
    assert "await ctx.call(tool, ...)" in outcome.error["message"]


async def test_awaiting_what_is_not_from_ctx_is_explained():
    async def handler(ctx: Context, _: Any) -> str:
        with pytest.raises(NotDurable, match=r"await ctx.step\(fn, ...\)"):
            await asyncio.sleep(0.01)
        return "went on"

    assert (await run(handler)).output == "went on"


@pytest.mark.parametrize("approved", [True, False])
async def test_a_tool_that_needs_approval_asks_first(approved):
    async def handler(ctx: Context, _: Any) -> str:
        try:
            return await ctx.call(pay, 5)
        except ToolFailed as error:
            return f"{error.type}: {error.message}"

    answer = {"approved": approved, "by": "Ada", "comment": "too much"}
    outcome = await run(handler, approvals={"pay": answer})
    assert outcome.output == ("paid 5" if approved else "Denied: the approval was refused by Ada: too much")
    assert outcome.steps[0].args == {"subject": {"tool": "pay", "arguments": {"cents": 5}}}
    assert [step.kind for step in outcome.steps] == (["wait", "tool"] if approved else ["wait"])


async def test_approvals_of_parallel_calls():
    async def handler(ctx: Context, _: Any) -> list[str]:
        return list(await ctx.gather(ctx.call(pay, 5), ctx.call(pay, 6), ctx.call(weigh, "abc")))

    async def joined(ctx: Context, _: Any) -> list[Any]:
        return await handler(ctx, _)

    assert (await run(joined, approvals={"pay": True})).output == ["paid 5", "paid 6", 3]


async def test_ask_a_private_child_and_a_shared_instance():
    async def handler(ctx: Context, _: Any) -> list[str]:
        return [await ctx.ask(echo, "a"), await ctx.ask(echo, "b"), await ctx.ask(echo, "c", key="shared")]

    first, second, third = (await run(handler)).output
    assert first.startswith("a from ask-")
    assert first.split()[2] != second.split()[2]
    assert third == "c from shared"


async def test_a_failed_child_raises_in_its_parent():
    async def child(ctx: Context, _: Any) -> None:
        raise ValueError("broken")

    failing = agent(child)

    async def handler(ctx: Context, _: Any) -> str:
        with pytest.raises(AskFailed) as caught:
            await ctx.ask(failing, None)
        return f"{caught.value.type}: {caught.value.message}"

    assert (await run(handler)).output == "ValueError: broken"


async def test_a_cycle_of_asks_fails_at_once():
    ring: list[Any] = []

    async def handler(ctx: Context, depth: int) -> str:
        return await ctx.ask(ring[0], depth + 1, key="one")

    ring.append(agent(handler))
    outcome = await testing.run(ring[0], 0, key="one")
    assert outcome.error["type"] == "AskFailed"
    assert "AskCycle" in outcome.error["message"]


async def test_step_runs_functions_of_both_kinds_and_decodes_their_results():
    async def fetch(cents: int) -> Payment:
        await asyncio.sleep(0)
        return Payment(cents=cents)

    def total(payments: list[Payment]) -> int:
        return sum(payment.cents for payment in payments)

    async def handler(ctx: Context, _: Any) -> int:
        payment = await ctx.step(fetch, 5)
        assert isinstance(payment, Payment)
        return await ctx.step(total, [payment, payment]) + await ctx.step(lambda: 1, name="one more!")

    outcome = await run(handler)
    assert outcome.output == 11
    assert [step.name for step in outcome.steps] == ["fetch", "total", "onemore"]
    assert outcome.steps[1].args == [[{"cents": 5}, {"cents": 5}]]


async def test_step_fails_with_what_the_function_raised_or_returned():
    def wrong() -> int:
        return "x"  # type: ignore[return-value]

    async def slow() -> None:
        await asyncio.Event().wait()

    def raises() -> None:
        raise KeyError("k")

    async def handler(ctx: Context, _: Any) -> list[str]:
        types = []
        for fn, timeout in ((wrong, 60), (slow, 0.01), (raises, 60)):
            with pytest.raises(StepError) as caught:
                await ctx.step(fn, timeout=timeout, retries=1)
            types.append(caught.value.type)
        return types

    outcome = await run(handler)
    assert outcome.output == ["BadOutput", "TimeoutError", "KeyError"]
    assert [step.attempts for step in outcome.steps] == [1, 2, 2]


async def test_sleep_takes_no_time_here_but_moves_the_clock():
    async def handler(ctx: Context, _: Any) -> list[float]:
        before = ctx.now()
        await ctx.sleep("2d")
        await ctx.sleep(timedelta(hours=1))
        return [(before - START).total_seconds(), (ctx.now() - before).total_seconds()]

    at, slept = (await run(handler)).output
    assert at == 0
    assert slept == 2 * 86400 + 3600


async def test_wait_for_gives_typed_data_and_keeps_the_order_of_signals():
    async def handler(ctx: Context, _: Any) -> list[int]:
        first = await ctx.wait_for(paid)
        second = await ctx.wait_for(paid, timeout="1h")
        assert isinstance(first, Payment)
        return [first.cents, second.cents]

    outcome = await run(handler, signals=[("paid", Payment(cents=1)), ("paid", {"cents": 2})])
    assert outcome.output == [1, 2]


async def test_wait_for_times_out_and_refuses_data_of_another_type():
    async def handler(ctx: Context, _: Any) -> str:
        with pytest.raises(BadInput, match="The input of signal 'paid' does not fit its type: cents"):
            await ctx.wait_for(paid)
        with pytest.raises(TimedOut):
            await ctx.wait_for(paid, timeout="1m")
        return "done"

    assert (await run(handler, signals=[("paid", {"cents": "many"})])).output == "done"


async def test_approve_gives_the_decision():
    async def handler(ctx: Context, _: Any) -> str:
        decision = await ctx.approve("refund", {"cents": 5})
        assert isinstance(decision, Approval)
        return f"{decision.approved} {decision.by} {decision.comment}"

    answer = {"approved": True, "by": "Ada", "comment": "fine", "later": "ignored"}
    assert (await run(handler, approvals={"refund": answer})).output == "True Ada fine"


async def test_emit_has_one_identity_however_often_it_runs():
    async def handler(ctx: Context, _: Any) -> None:
        await ctx.emit("order.seen", Payment(cents=5), subject="o1")
        await ctx.emit("order.seen")

    first, again = await run(handler), None
    agents = list(app.agents.values())
    again = await testing.run(agents[-1], None)
    assert [(event.type, event.subject, event.data) for event in first.emitted] == [
        ("order.seen", "o1", {"cents": 5}),
        ("order.seen", None, None),
    ]
    assert [event.id for event in first.emitted] == [event.id for event in again.emitted]
    assert len({event.id for event in first.emitted}) == 2


async def test_cancel_run_cancels_the_run_that_calls_it():
    cleaned = []

    async def handler(ctx: Context, _: Any) -> None:
        try:
            await ctx.cancel_run("enough")
            await ctx.sleep("1d")
        except RunCancelled:
            await ctx.call(weigh, "clean")
            cleaned.append("up")
            raise

    outcome = await run(handler)
    assert (outcome.status, outcome.error["message"]) == ("cancelled", "enough")
    assert cleaned == ["up"]
    assert outcome.named("sleep")[0].cancelled


async def test_keyed_steps_have_keys_that_do_not_count():
    async def handler(ctx: Context, _: Any) -> int:
        await ctx.call(weigh, "a")
        last = ctx.keyed("last")
        await last.call(weigh, "b")
        with pytest.raises(BadDeclaration, match="was used before"):
            last.call(weigh, "c")
        return await ctx.call(weigh, "abc")

    outcome = await run(handler)
    assert outcome.output == 3
    assert outcome.steps[1].key != outcome.steps[0].key
    assert "last" in outcome.steps[1].key
    assert outcome.steps[2].key == "tool:weigh#2"


# --- several at once ------------------------------------------------------------------------------------------------


async def test_gather_mixes_steps_and_coroutines():
    async def handler(ctx: Context, _: Any) -> list[Any]:
        async def both(sku: str) -> int:
            return await ctx.call(weigh, sku) + await ctx.call(weigh, sku)

        weights = await ctx.gather(ctx.call(weigh, "a"), both("ab"), both("abc"))
        assert isinstance(weights, tuple)
        return list(weights)

    assert (await run(handler)).output == [1, 4, 6]


async def test_the_first_failure_of_a_gather_cancels_the_others():
    async def handler(ctx: Context, _: Any) -> None:
        await ctx.gather(ctx.sleep("1d"), ctx.call(weigh, "a"), ctx.wait_for(paid))

    outcome = await run(handler, tools={"weigh": ValueError("no")})
    assert outcome.error["type"] == "ToolFailed"
    assert [step.cancelled for step in outcome.steps] == [True, False, True]


async def test_race_gives_the_first():
    async def handler(ctx: Context, _: Any) -> str:
        first = await ctx.race(ctx.wait_for(paid), ctx.sleep("1h"))
        return "late" if first is None else f"paid {first.cents}"

    assert (await run(handler)).output == "late"
    assert (await run(handler, signals=[("paid", {"cents": 3})])).output == "paid 3"


async def test_a_child_that_lost_a_race_is_cancelled():
    async def slow(ctx: Context, _: Any) -> None:
        await ctx.sleep("1d")

    sleeper = agent(slow)

    async def handler(ctx: Context, _: Any) -> str:
        await ctx.race(ctx.ask(sleeper, None), ctx.sleep("1h"))
        await ctx.sleep("2d")
        return "gave up"

    outcome = await run(handler)
    assert outcome.output == "gave up"
    assert outcome.children[0].status == "cancelled"


async def test_map_keeps_the_order_and_the_limit():
    at_once = [0, 0]

    async def handler(ctx: Context, _: Any) -> list[int]:
        async def one(sku: str) -> int:
            at_once[0] += 1
            at_once[1] = max(at_once)
            weight = await ctx.call(weigh, sku)
            await ctx.sleep(1)
            at_once[0] -= 1
            return weight

        return await ctx.map(one, ["a", "ab", "abc", "abcd", "abcde"], concurrency=2)

    assert (await run(handler)).output == [1, 2, 3, 4, 5]
    assert at_once == [0, 2]


# --- the run and its instance ---------------------------------------------------------------------------------------


async def test_state_is_read_at_the_start_and_changes_with_the_end():
    async def handler(ctx: Context[Basket], sku: str) -> int:
        ctx.state.skus.append(sku)
        if sku == "bad":
            raise ValueError("bad")
        return len(ctx.state.skus)

    basket = agent(handler)
    first = await testing.run(basket, "a")
    assert (first.output, first.state) == (1, Basket(skus=["a"]))
    second = await testing.run(basket, "b", state=first.state)
    assert second.state == Basket(skus=["a", "b"])
    failed = await testing.run(basket, "bad", state=second.state)
    assert (failed.status, failed.state) == ("failed", Basket(skus=["a", "b"]))
    assert Basket().skus == []


async def test_unchanged_state_is_not_recorded():
    async def handler(ctx: Context[Basket], sku: str) -> bool:
        return ctx.state.paid

    outcome = await run(handler, "a")
    assert outcome.journal[-1].state is None
    assert outcome.state == Basket()


async def test_state_may_be_replaced_and_must_fit():
    async def replaces(ctx: Context[Basket], _: Any) -> None:
        ctx.state = Basket(paid=True)

    async def breaks(ctx: Context[Basket], _: Any) -> None:
        ctx.state.skus = 5  # type: ignore[assignment]

    async def ruins(ctx: Context[Basket], _: Any) -> None:
        ctx.state = "full"  # type: ignore[assignment]

    assert (await run(replaces)).state == Basket(paid=True)
    for handler in (breaks, ruins):
        error = (await run(handler)).error
        assert "the state of agent" in error["message"]


async def test_state_without_a_type_is_a_json_object():
    async def handler(ctx: Context, _: Any) -> int:
        ctx.state["runs"] = ctx.state.get("runs", 0) + 1
        return ctx.state["runs"]

    counter = agent(handler)
    assert (await testing.run(counter, None)).state == {"runs": 1}
    assert (await testing.run(counter, None, state={"runs": 4})).output == 5


async def test_the_conversation_grows_with_completed_runs():
    async def handler(ctx: Context, text: str) -> int:
        ctx.say({"role": "user", "content": text})
        return len(ctx.conversation)

    outcome = await run(handler, "hi", conversation=[{"role": "system", "content": "x"}])
    assert outcome.output == 2
    assert outcome.conversation[1] == {"role": "user", "content": "hi"}


async def test_facts_are_the_same_every_time():
    async def handler(ctx: Context, _: Any) -> list[Any]:
        return [ctx.now().isoformat(), ctx.random(), ctx.random(), ctx.uuid(), ctx.key, ctx.tenant, ctx.event]

    facts = agent(handler)
    first, again, other = [(await testing.run(facts, None, seed=seed)).output for seed in ("a", "a", "b")]
    assert first == again
    assert first[1] != first[2]
    assert first[1] != other[1]
    assert first[3] != other[3]
    assert first[4:] == ["test", "default", None]


async def test_an_event_gives_its_data_and_is_there_whole():
    async def takes_data(ctx: Context, payment: Payment) -> str:
        assert ctx.event is not None
        return f"{payment.cents} {ctx.event.source}"

    async def takes_event(ctx: Context, event: CloudEvent) -> str:
        return f"{event.data['cents']} {event.type}"

    event = CloudEvent(source="bank", type="money.came", data={"cents": 5})
    assert (await testing.run(agent(takes_data, on="money.came"), event)).output == "5 bank"
    assert (await testing.run(agent(takes_event, on="money.came"), event)).output == "5 money.came"


async def test_event_data_that_does_not_fit_fails_the_run():
    async def handler(ctx: Context, payment: Payment) -> str: ...

    event = CloudEvent(source="bank", type="money.came", data={"euros": 5})
    outcome = await testing.run(agent(handler, on="money.came"), event)
    assert outcome.error["type"] == "BadInput"
    assert "cents: Field required" in outcome.error["message"]


async def test_the_context_is_of_no_use_after_the_run():
    kept = []

    async def handler(ctx: Context, _: Any) -> None:
        kept.append(ctx)

    await run(handler)
    with pytest.raises(Exception, match="no longer in use"):
        kept[0].call(weigh, "a")


async def test_changing_a_message_changes_nothing_that_is_kept():
    async def handler(ctx: Context, said: str) -> str:
        ctx.say({"role": "user", "content": said})
        for message in ctx.conversation:
            message["content"] = "forged"
        return str(ctx.conversation[0]["content"])

    before = [{"role": "system", "content": "x"}]
    outcome = await run(handler, "hi", conversation=before)
    assert (outcome.output, before) == ("x", [{"role": "system", "content": "x"}])
    assert outcome.conversation[-1] == {"role": "user", "content": "hi"}
