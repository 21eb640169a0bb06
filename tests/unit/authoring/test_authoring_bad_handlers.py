"""Handlers that misbehave end their own run with a clear error, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from trunkline import App, Context, testing
from trunkline.domain import codec

app = App("bad")


class Verdict(BaseModel):
    cents: int


async def raises(ctx: Context, _: Any) -> int:
    raise LookupError("no such order")


async def loops(ctx: Context, _: Any) -> None:
    while True:
        ctx.sleep(1)


async def wrong_type(ctx: Context, _: Any) -> Verdict:
    return "plenty"  # type: ignore[return-value]


async def mutated(ctx: Context, _: Any) -> Verdict:
    verdict = Verdict(cents=5)
    verdict.cents = "five"  # type: ignore[assignment]
    return verdict


async def no_json(ctx: Context, _: Any) -> Any:
    return object()


async def not_a_number(ctx: Context, _: Any) -> Any:
    return {"a": [float("nan")]}


async def nul(ctx: Context, _: Any) -> str:
    return "a\x00b"


async def surrogate(ctx: Context, _: Any) -> str:
    return "\ud800"


async def deep(ctx: Context, _: Any) -> Any:
    nest: list[Any] = []
    for _ in range(100_000):
        nest = [nest]
    return nest


async def bulky(ctx: Context, _: Any) -> str:
    return "x" * (codec.MOST_BYTES + 1)


async def bulky_step(ctx: Context, _: Any) -> int:
    return await ctx.step(len, "x" * (codec.MOST_BYTES + 1))


async def forever(ctx: Context, _: Any) -> Any:
    return await ctx.sleep(1) if False else await forever_in_itself(ctx)


async def forever_in_itself(ctx: Context) -> Any:
    return await forever_in_itself(ctx)


@pytest.mark.parametrize(
    ("handler", "type_", "says"),
    [
        (raises, "LookupError", "no such order"),
        (loops, "TooManySteps", "asked for more than 10000 steps"),
        (
            wrong_type,
            "BadOutput",
            "What agent 'wrong_type' returned does not fit its annotation: value: Input should be",
        ),
        (mutated, "NotJson", "Expected `int`"),
        (no_json, "NotJson", "Unable to serialize unknown type"),
        (not_a_number, "NotJson", "NaN and infinities are not JSON numbers"),
        (nul, "NotJson", "NUL"),
        (surrogate, "NotJson", "surrogate"),
        (deep, "NotJson", ""),
        (bulky, "PayloadTooLarge", "keep the bulk elsewhere"),
        (bulky_step, "PayloadTooLarge", "keep the bulk elsewhere"),
        (forever, "RecursionError", "maximum recursion depth"),
    ],
)
async def test_the_run_fails_and_says_why(handler, type_, says):
    if handler.__name__ not in app.agents:
        app.agent(handler.__name__)(handler)
    outcome = await testing.run(app.agents[handler.__name__], None)
    assert outcome.status == "failed"
    assert outcome.error["type"] == type_
    assert says in outcome.error["message"]
    assert "Traceback" not in outcome.error["message"]
    assert outcome.journal[-1].TYPE == "RunFailed"


async def test_a_handler_that_goes_round_and_round_with_sleeps_is_found_by_the_test():
    @app.agent("round")
    async def round_(ctx: Context, _: Any) -> None:
        while True:
            await ctx.sleep(1)

    with pytest.raises(testing.Endless, match="Does its handler go round in a loop"):
        await testing.run(round_, None)


async def test_an_exception_with_a_broken_message_still_ends_the_run():
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no message")

    @app.agent("broken")
    async def broken(ctx: Context, _: Any) -> None:
        raise Broken

    assert (await testing.run(broken, None)).error["type"] == "Broken"
