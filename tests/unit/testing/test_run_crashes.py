"""``testing.run(…, crashes=True)``: a handler that is rebuilt from its journal all the time comes to the same, or shows
where it does not.
"""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from pydantic import BaseModel

from trunkline import App, Context, testing
from trunkline.domain.errors import Diverged

app = App("crashing")
go = app.signal("go", str)
world = count()  # what no handler may look at, but through a step


class Tally(BaseModel):
    total: int = 0


@app.tool(retries=2)
async def look(sku: str) -> int:
    raise AssertionError("the tests pass a fake")


chat = app.llm_agent("chat", model="m", tools=[look])


async def local(number: int) -> int:
    return number


@app.agent("steady")
async def steady(ctx: Context[Tally], sku: str) -> list[str]:
    ctx.state.total += 1
    found, *_ = await ctx.gather(ctx.call(look, sku), ctx.step(local, 1), ctx.map(ctx.sleep, [1, 2]))
    said = await ctx.wait_for(go)
    answer = await ctx.ask(chat, f"{said} {found}")
    await ctx.race(ctx.sleep("1h"), ctx.sleep("2d"))
    ctx.state.total += 1
    return [answer, ctx.uuid(), ctx.now().isoformat(), (await ctx.approve("deal")).by]


@app.agent("other_arguments")
async def other_arguments(ctx: Context, _: None) -> int:
    await ctx.step(local, next(world))
    return await ctx.step(local, 1)


@app.agent("other_steps")
async def other_steps(ctx: Context, _: None) -> None:
    await ctx.step(local, 1)
    if next(world) % 2 == 0:
        await ctx.sleep(5)
    await ctx.step(local, 2)
    await ctx.step(local, 3)


@app.agent("more_steps")
async def more_steps(ctx: Context, _: None) -> None:
    await ctx.gather(*(ctx.step(local, number) for number in range(next(world) + 1)))


@app.agent("parent")
async def parent(ctx: Context, _: None) -> int:
    return await ctx.ask(other_arguments, None)


@pytest.fixture(autouse=True)
def _anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "world", count())


async def outcome(*, crashes: bool) -> testing.RunOutcome[list[str]]:
    answers = iter([ConnectionError("at first"), 5, 6])

    def answer(**_: Any) -> int:
        given = next(answers)
        if isinstance(given, Exception):
            raise given
        return given

    script = [testing.ToolCall("look", {"sku": "x"}), "Yes."]
    return await testing.run(
        steady, "pen", tools={"look": answer}, model=script, signals=[("go", "on")], approvals={"deal": True},
        crashes=crashes,
    )  # fmt: skip


async def test_a_deterministic_handler_comes_to_the_very_same() -> None:
    smooth, crashed = await outcome(crashes=False), await outcome(crashes=True)
    assert crashed.output == smooth.output
    assert crashed.journal == smooth.journal
    assert crashed.state == smooth.state == Tally(total=2)
    assert crashed.journal.completed("look", times=2)[0].attempts == 2


@pytest.mark.parametrize(
    ("agent", "told"),
    [
        (other_arguments, r"step local:local#1: args.0 was 0, and is 1 now"),
        (other_steps, r"the journal has step sleep:sleep#1 with null, where the code now comes to step local:local#2"),
        (more_steps, r"the journal has nothing, where the code now comes to step local:local#2 with \[1\]"),
        (parent, r"step local:local#1: args.0 was"),
    ],
)
async def test_one_that_is_not_is_found(agent: Any, told: str) -> None:
    with pytest.raises(Diverged, match=told):
        await testing.run(agent, None, crashes=True)


async def test_without_crashes_it_is_not_found() -> None:
    assert (await testing.run(other_arguments, None)).output == 1
