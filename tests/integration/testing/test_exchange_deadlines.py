"""Timeouts, deadlines and cancellations, in an exchange whose time is skipped: they reach whoever works for the run."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integration.testing.kit_app import Gate
from integration.testing.late_app import app, asking, brisk, calling, chatty, hurried, lenient, patient, tidy, top
from trunkline import RunFailedError
from trunkline.domain.errors import BadInput
from trunkline.domain.journal import RunStarted
from trunkline.testing import Exchange, ExchangeFactory

START = datetime(2026, 1, 1, tzinfo=UTC)


async def ends(tl: Exchange) -> dict[str, tuple[str, str]]:
    """How the runs of each agent ended, and why."""
    items = (await tl.runs(limit=100))["items"]
    return {one["agent"]: (one["status"], (one["error"] or {}).get("message", "")) for one in items}


async def deadline_of(tl: Exchange, run: Any) -> datetime | None:
    [started] = [entry for entry in await tl.journal(run) if isinstance(entry, RunStarted)]
    return None if started.deadline is None else datetime.fromtimestamp(started.deadline, UTC)


async def test_a_private_child_that_takes_too_long_is_cancelled(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await tl.start(asking, None)
        await tl.skip("59m")
        assert await run.status() != "completed"
        await tl.skip("2m")
        assert await run.result() == "nothing came within 3600 s"
        assert (await ends(tl))["patient"] == ("cancelled", "the run that asked no longer waits")


async def test_a_shared_instance_goes_on_without_whoever_asked(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await tl.start(asking, "shared")
        await tl.skip("2h")
        assert await run.result() == "nothing came within 3600 s"
        await tl.signal(patient, "shared", "go", "on")
        await tl.settle()
        assert (await ends(tl))["patient"] == ("completed", "")


async def test_an_answer_in_time_leaves_no_timer(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await tl.start(asking, "shared")
        await tl.settle()
        await tl.signal(patient, "shared", "go", "on")
        assert await run.result() == "asked on"
        assert await tl._passing._next() == float("inf")


async def test_any_step_can_have_a_limit(exchange: ExchangeFactory) -> None:
    gate = Gate()
    async with exchange(app, tools={"look_up": gate}) as tl:
        run = await tl.start(calling, "slow")
        await gate.reached.wait()
        await tl.skip("61m", during_steps=True)
        assert await run.result() == "nothing came within 3600 s"
        await stopped(gate)


async def test_a_deadline_ends_a_run_and_all_that_works_for_it(exchange: ExchangeFactory) -> None:
    gate = Gate()
    async with exchange(app, tools={"look_up": gate}) as tl:
        run = await tl.start(top, "slow", deadline="2h")
        await gate.reached.wait()
        journal = await tl.journal(run)
        [middle] = journal.asked.values()
        [leaf] = middle.asked.values()
        deadline = await deadline_of(tl, run)
        assert deadline is not None
        assert timedelta() <= deadline - START - timedelta(hours=2) < timedelta(minutes=1)
        assert [one[0].deadline for one in (middle, leaf)] == pytest.approx([deadline.timestamp()] * 2, abs=1e-3)
        await tl.skip("2h", during_steps=True)
        with pytest.raises(RunFailedError, match="its deadline has passed: 2026-01-01T02:00"):
            await run.result()
        await stopped(gate)
        await tl.settle()
        assert {status for status, _ in (await ends(tl)).values()} == {"cancelled"}


async def test_a_cancellation_reaches_children_of_children_and_their_tools(exchange: ExchangeFactory) -> None:
    gate = Gate()
    async with exchange(app, tools={"look_up": gate}) as tl:
        run = await tl.start(top, "slow")
        await gate.reached.wait()
        await run.cancel("enough")
        await stopped(gate)
        await tl.settle()
        why = "the run that asked no longer waits"
        assert await ends(tl) == {
            "top": ("cancelled", "enough"),
            "middle": ("cancelled", why),
            "leaf": ("cancelled", why),
        }


async def test_a_deadline_stops_a_model_call(exchange: ExchangeFactory) -> None:
    asked = asyncio.Event()

    async def think(messages: Any) -> str:
        asked.set()
        await asyncio.sleep(30)
        return "too late"

    async with exchange(app, model=think) as tl:
        run = await tl.start(chatty, "hello")
        await asked.wait()
        await tl.skip("1h", during_steps=True)
        with pytest.raises(RunFailedError, match="its deadline has passed"):
            await run.result()
        await tl.settle()
        assert {status for status, _ in (await ends(tl)).values()} == {"cancelled"}


async def test_a_child_has_the_nearest_deadline(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        short, long = await tl.start(hurried, "short"), await tl.start(lenient, "long")
        await tl.settle()
        near = [journal[0].deadline for journal in (await tl.journal(short)).asked.values()]
        far = [journal[0].deadline for journal in (await tl.journal(long)).asked.values()]
        begun = [(await tl.journal(run))[0] for run in (short, long)]
        assert near == [begun[0].at + 600]
        assert begun[1].at + 3600 <= far[0] < begun[1].at + 3660
        await tl.skip("61m")
        with pytest.raises(RunFailedError, match=r"AskFailed.*its deadline has passed"):
            await long.result()
        with pytest.raises(RunFailedError, match="its deadline has passed: 2026-01-01T00:10"):
            await short.result()
        (await tl.journal(long)).completed("noted")


async def test_deadlines_outlive_everybody(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await tl.start(brisk, "hello", deadline="30m")
        await tl.settle()
        await tl.crash("agents")
        await tl.crash("supervisor")
        await tl.skip("31m")
        with pytest.raises(RunFailedError, match="its deadline has passed: 2026-01-01T00:30"):
            await run.result()
        await tl.settle()
        assert (await ends(tl))["patient"][0] == "cancelled"


async def test_a_run_that_ends_in_time_leaves_no_timer(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await tl.start(tidy, "word", key="k")
        await tl.settle()
        await run.signal("go", "on")
        assert await run.result() == "on"
        assert await tl._passing._next() == float("inf")


async def test_a_handler_may_clean_up(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await tl.start(tidy, "word")
        await tl.skip("1h")
        with pytest.raises(RunFailedError, match="its deadline has passed"):
            await run.result()
        [step] = (await tl.journal(run)).completed("noted", times=1)
        assert step.args[0].startswith("word: its deadline has passed: 2026-01-01T01:00:0")


async def test_time_passes_for_a_run_that_waits_for_its_turn(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        first = await tl.start(patient, "first", key="k")
        second = await tl.start(patient, "second", key="k", deadline=3600)
        third = await tl.start(patient, "third", key="k", deadline=START + timedelta(hours=3))
        await tl.skip("61m")
        with pytest.raises(RunFailedError, match="its deadline has passed: 2026-01-01T01:00"):
            await second.result()
        await tl.crash("agents")
        await first.signal("go", "1")
        assert await first.result() == "first 1"
        await tl.skip("2h")
        with pytest.raises(RunFailedError, match="its deadline has passed: 2026-01-01T03:00:00Z"):
            await third.result()


async def test_a_deadline_that_has_passed_already_begins_nothing(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await tl.start(patient, "late", deadline=START - timedelta(hours=1))
        with pytest.raises(RunFailedError, match="its deadline has passed: 2025-12-31T23:00:00Z"):
            await run.result()
        assert (await tl.journal(run)).steps == []


@pytest.mark.parametrize("deadline", ["soon", datetime(2031, 1, 1), -1, True, [1]])  # noqa: DTZ001
async def test_what_is_no_deadline_is_refused(exchange: ExchangeFactory, deadline: Any) -> None:
    async with exchange(app) as tl:
        with pytest.raises(BadInput, match="the deadline"):
            await tl.start(patient, "word", deadline=deadline)


async def stopped(gate: Gate) -> None:
    """The tool was told that nobody waits any more."""
    async with asyncio.timeout(10):
        while not gate.cancelled:  # noqa: ASYNC110 - a cancellation has no event of ours
            await asyncio.sleep(0.01)
