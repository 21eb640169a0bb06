"""Timeouts and deadlines in ``testing.run``, also when the handler is rebuilt before everything that it is told."""

from __future__ import annotations

import pytest

from integration.testing.late_app import app, asking, calling, hurried, lenient, patient, tidy
from trunkline import Context, RunCancelled, testing
from trunkline.domain.errors import TimedOut


@pytest.mark.parametrize("crashes", [False, True])
async def test_an_ask_times_out_and_its_child_is_cancelled(crashes: bool) -> None:
    outcome = await testing.run(asking, None, crashes=crashes)
    assert outcome.output == "nothing came within 3600 s"
    assert [child.status for child in outcome.children] == ["cancelled"]


async def test_an_answer_in_time_is_the_answer() -> None:
    assert (await testing.run(asking, None, signals=[("go", "on")])).output == "asked on"


async def test_a_limit_costs_a_quick_step_nothing() -> None:
    assert (await testing.run(calling, "quick")).output == "quick"


async def test_a_deadline_passes_from_parent_to_child() -> None:
    outcome = await testing.run(hurried, "word")
    assert (outcome.status, outcome.error["message"]) == ("cancelled", "its deadline has passed: 2026-01-01T00:10:00Z")
    outcome = await testing.run(lenient, "word")
    assert outcome.status == "failed", "its child had less time"
    assert outcome.error["type"] == "AskFailed"


@pytest.mark.parametrize("crashes", [False, True])
async def test_a_handler_may_clean_up(crashes: bool) -> None:
    outcome = await testing.run(tidy, "word", crashes=crashes)
    assert outcome.status == "cancelled"
    outcome.journal.completed("noted", times=1)


@app.agent("nested")
async def nested(ctx: Context, word: str) -> str:
    """A limit inside of a limit: the outer one ends the inner."""
    try:
        await ctx.within("10m", ctx.within("1h", ctx.ask(patient, word)))
    except TimedOut as error:
        return error.message
    return "never"


async def test_an_outer_limit_ends_what_is_inside() -> None:
    outcome = await testing.run(nested, "word")
    assert outcome.output == "nothing came within 600 s"
    assert [child.status for child in outcome.children] == ["cancelled"]
    assert outcome.elapsed.total_seconds() < 700


@app.agent("tells", timeout="2h")
async def tells(ctx: Context, word: str) -> str:
    assert ctx.deadline is not None
    try:
        await ctx.sleep("3h")
    except RunCancelled:
        return f"{word} until {ctx.deadline.isoformat()}"
    return "never"


async def test_a_handler_knows_its_deadline() -> None:
    assert (await testing.run(tells, "I have")).output == "I have until 2026-01-01T02:00:00+00:00"
