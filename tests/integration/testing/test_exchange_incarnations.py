"""Runs whose handlers begin anew, on real servers: whoever dies in between, the run goes on, and answers once."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from trunkline import App, AskFailed, Context, RestartPolicy, RunCancelled, RunFailedError
from trunkline.domain.journal import RunContinued, RunRestarted, SignalReceived, StepScheduled
from trunkline.testing import ExchangeFactory

app = App("anew")
Go = app.signal("go", str)
Word = app.signal("word", str)
QUICK = RestartPolicy(restart="transient", max_restarts=2, within=3600, base=0.01, cap=0.02)
SLOW = RestartPolicy(restart="transient", max_restarts=1000, within=864000, base=3600, cap=3600)


class Tally(BaseModel):
    total: int = 0


@app.tool(effect="unsafe")
async def pay(cents: int) -> str:
    return f"paid {cents}"


@app.agent("stepping")
async def stepping(ctx: Context[Tally], left: int) -> int:
    ctx.state.total += 1
    await ctx.sleep("1h")
    if left:
        ctx.continue_as_new(left - 1)
    return ctx.state.total


@app.agent("collecting")
async def collecting(ctx: Context, heard: list[str]) -> list[str]:
    await ctx.wait_for(Go)
    word = await ctx.wait_for(Word)
    if len(heard) < 2:
        ctx.continue_as_new([*heard, word])
    return [*heard, word]


@app.agent("failing", restart=QUICK)
async def failing(ctx: Context, times: int) -> str:
    if ctx.restarts < times:
        raise ValueError("not yet")
    return f"after {ctx.restarts}"


@app.agent("paying", restart=QUICK)
async def paying(ctx: Context, cents: int) -> str:
    await ctx.call(pay, cents)
    raise ValueError("out of paper")


@app.agent("resting", restart=SLOW, timeout="90m")
async def resting(ctx: Context, _: None) -> str:
    raise ValueError("never")


@app.agent("clumsy", restart=QUICK)
async def clumsy(ctx: Context, nap: str) -> str:
    try:
        await ctx.sleep(nap)
    except RunCancelled:
        raise ValueError("dropped it") from None
    return "nobody came"


@app.agent("lasting", restart=RestartPolicy(restart="permanent", max_restarts=9, within=1, base=0.01))
async def lasting(ctx: Context[Tally], _: None) -> None:
    ctx.state.total += len(await ctx.wait_for(Go))


@app.agent("asking")
async def asking(ctx: Context, times: int) -> str:
    try:
        return await ctx.ask(failing, times)
    except AskFailed as error:
        return f"{error.type}: {error}"


@app.agent("strict", on="number.came", restart=QUICK)
async def strict(ctx: Context, number: int) -> int:
    return number


def entries(journal: Any, type_: type[Any]) -> list[Any]:
    return [entry for entry in journal if isinstance(entry, type_)]


async def test_a_run_goes_on_in_its_next_incarnation_though_its_workers_die(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await tl.start(stepping, 3)
        for _ in range(4):
            await tl.crash("agents")
            await tl.skip("1h")
        assert await run.result() == 4
        journal = await tl.journal(run)
    assert [entry.number for entry in entries(journal, RunContinued)] == [2, 3, 4]
    assert [entry.key for entry in entries(journal, StepScheduled)][-1] == "@4/sleep:sleep#1"


async def test_signals_that_nobody_took_are_there_in_the_next_incarnation(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await tl.start(collecting, [])
        for word in ("a", "b", "c"):
            await run.signal(Word, word)
        await tl.settle()
        for _ in range(3):
            await tl.crash("agents")
            await run.signal(Go, "on")
            await tl.settle()
        assert await run.result() == ["a", "b", "c"]
        journal = await tl.journal(run)
        assert (await tl.dead_letters())["items"] == []
    assert [[signal["data"] for signal in entry.signals] for entry in entries(journal, RunContinued)] == [
        ["b", "c"],
        ["c"],
    ]
    assert len(entries(journal, SignalReceived)) == 6


async def test_who_asked_gets_the_one_answer_of_a_run_that_was_restarted(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        assert await (await tl.start(asking, 2)).result() == "after 2"
        told = await (await tl.start(asking, 3)).result()
        assert "RestartsExhausted" in told
        assert "the last error was ValueError: not yet" in told
        [shown] = [one for one in (await tl.runs(agent="failing"))["items"] if one["status"] == "completed"]
        assert shown["restarts"] == 2


async def test_a_stream_says_why_the_run_runs_again(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await tl.start(failing, 1)
        told = [event.data async for event in run.events() if event.type == "status"]
    assert [one.get("because") for one in told if one["status"] == "running"] == [None, "restarted"]
    assert told[-1]["output"] == "after 1"


async def test_an_effect_that_may_not_repeat_is_not_repeated_by_a_restart(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await tl.start(paying, 5)
        with pytest.raises(RunFailedError, match=r"out of paper \(not begun again, because step tool:pay#1"):
            await run.result()
        journal = await tl.journal(run)
    journal.completed("pay", times=1)
    assert entries(journal, RunRestarted) == []


async def test_a_run_that_waits_to_be_begun_again_is_cancelled_at_once(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await tl.start(resting, None)
        await tl.settle()
        await tl.crash("agents")
        await run.cancel("enough")
        with pytest.raises(RunFailedError, match="enough"):
            await run.result()
        assert len(entries(await tl.journal(run), RunRestarted)) == 1


async def test_a_run_that_fails_while_it_cleans_up_after_a_cancellation_is_not_begun_again(
    exchange: ExchangeFactory,
) -> None:
    async with exchange(app) as tl:
        run, late = await tl.start(clumsy, "2h"), await tl.start(clumsy, "2h", deadline="1h")
        await tl.settle()
        await run.cancel("enough")
        await tl.skip("90m")
        for one in (run, late):
            with pytest.raises(RunFailedError, match="dropped it"):
                await one.result()
            assert (await one.show())["restarts"] == 0


async def test_the_deadline_is_the_runs_and_not_the_incarnations(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await tl.start(resting, None)
        await tl.skip("2h")
        with pytest.raises(RunFailedError, match="its deadline has passed"):
            await run.result()
        assert entries(await tl.journal(run), RunRestarted)


async def test_a_permanent_run_goes_on_after_it_returned(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await tl.start(lasting, None, key="one")
        for word in ("a", "bb", "ccc"):
            await run.signal(Go, word)
            await tl.settle()
            await tl.skip("1m")
        assert (await run.show())["restarts"] == 3
        assert (await tl.instance("lasting", "one"))["state"] == {"total": 6}
        await run.cancel()
        await tl.settle()
        assert (await run.show())["status"] == "cancelled"


async def test_what_can_only_fail_is_not_begun_again(exchange: ExchangeFactory) -> None:
    """Requests of other senders than a client are not held against the agent's input before they run."""
    async with exchange(app) as tl:
        [run] = await tl.publish("number.came", "seven")
        await tl.settle()
        [shown] = (await tl.runs(agent="strict"))["items"]
        assert (shown["id"], shown["error"]["type"], shown["restarts"]) == (run, "BadInput", 0)


async def test_code_is_held_against_the_latest_incarnation(exchange: ExchangeFactory) -> None:
    other = App("anew")

    @other.agent("stepping")
    async def changed(ctx: Context[Tally], left: int) -> int:
        ctx.state.total += 1
        await ctx.sleep("2h" if left == 3 else "1h")
        return ctx.state.total

    async with exchange(app) as tl:
        run = await tl.start(stepping, 3)
        await tl.settle()
        assert run.id not in await tl.diverging(app)
        await tl.skip("1h")
        assert await tl.diverging(other) == {}, "what its first handler did is over"
