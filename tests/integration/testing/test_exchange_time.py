"""Time that is skipped: what is due happens in its turn, and handlers are told the time that has passed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from integration.testing.kit_app import Gate, app, buyer, collector, hasty, paid, scheduled, sleeper, spread, timed
from trunkline import RunFailedError
from trunkline.testing import ExchangeFactory, TooFar


async def test_a_handler_sees_the_time_that_was_skipped(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await tl.start(sleeper, 3)
        await tl.skip("36h")
        assert await run.status() == "waiting"
        await tl.skip("2d")
        times = await run.result()
    assert times[0].startswith("2026-01-01T00:00:0")
    assert spread(times) == [1.0, 1.0, 1.0], "each nap ended in its turn, though two ended in one skip"


async def test_a_test_says_when_it_begins(exchange: ExchangeFactory) -> None:
    start = datetime(2031, 2, 3, tzinfo=UTC)
    async with exchange(app, at=start.timestamp()) as tl:
        [began] = await (await tl.start(sleeper, 0)).result()
    assert 0 <= (datetime.fromisoformat(began) - start).total_seconds() < 60


async def test_waits_time_out_or_not(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        late, early, buying = await tl.start(collector, None), await tl.start(collector, None), await tl.start(buyer, 1)
        await tl.skip("47h")
        await early.signal(paid, 3)
        await tl.skip("2h")
        assert (await late.result(), await early.result()) == ("nobody paid", "3 paid")
        with pytest.raises(RunFailedError, match="TimedOut"):
            await buying.result()


async def test_schedules_publish_at_each_of_their_times(exchange: ExchangeFactory) -> None:
    async with exchange(scheduled) as tl:
        await tl.skip("11h")
        assert (await tl.runs())["items"] == []
        await tl.skip("61h")
        outputs = [await tl.run(run["id"]).result() for run in (await tl.runs())["items"]]
    assert [time[:16] for time in sorted(outputs)] == [f"2026-01-0{day}T12:00" for day in (1, 2, 3)]


async def test_schedules_can_be_left_out(exchange: ExchangeFactory) -> None:
    async with exchange(scheduled, schedules=False) as tl:
        await tl.skip("3d")
        assert (await tl.runs())["items"] == []


async def test_a_skip_over_too_many_ticks_is_refused(exchange: ExchangeFactory) -> None:
    async with exchange(scheduled) as tl:
        with pytest.raises(TooFar, match=r"more than 1000 times at which something is due .*'report'"):
            await tl.skip("156w")


async def test_agents_are_started_by_the_clock(exchange: ExchangeFactory) -> None:
    async with exchange(timed) as tl:
        assert (await tl.runs())["items"] == []
        await tl.skip("3d")
        nights = (await tl.runs(agent="nightly"))["items"]
        told = {run["key"]: await tl.run(run["id"]).result() for run in nights}
        assert list(told) == ["2026-01-03", "2026-01-02", "2026-01-01"], "newest first"
        assert told["2026-01-02"][0] == "2026-01-02T02:00:00+01:00"
        assert told["2026-01-02"][1].startswith("2026-01-02T01:00:0"), "the handler is told that time"
        cleaning = [run["key"] for run in (await tl.runs(agent="janitor"))["items"]]
        assert (cleaning.count("often"), cleaning.count("once"), len(cleaning)) == (12, 1, 13)


async def test_a_schedule_goes_on_after_everybodys_death(exchange: ExchangeFactory) -> None:
    async with exchange(timed) as tl:
        for kind in ("agents", "supervisor", "agents"):
            await tl.skip("1d")
            await tl.crash(kind)
        await tl.settle()
        keys = [run["key"] for run in (await tl.runs(agent="nightly", status="completed"))["items"]]
        assert keys == ["2026-01-03", "2026-01-02", "2026-01-01"]


async def test_the_clock_starts_nobody_without_schedules(exchange: ExchangeFactory) -> None:
    async with exchange(timed, schedules=False) as tl:
        await tl.skip("3d")
        assert (await tl.runs())["items"] == []
        [nightly, *_] = [one for one in (await tl.schedules())["items"] if one["agent"] == "nightly"]
        assert (nightly["name"], nightly["fired_at"]) == ("cron 0 2 * * * Europe/Berlin", None)


async def test_a_skip_over_too_many_occurrences_is_refused(exchange: ExchangeFactory) -> None:
    async with exchange(timed) as tl:
        with pytest.raises(TooFar, match=r"more than 1000 times at which something is due .*'often'"):
            await tl.skip("300d")


async def test_a_skip_waits_until_the_timers_are_set(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        runs = [await tl.start(sleeper, 1, key=f"s-{number}") for number in range(10)]
        await tl.skip("1d")
        assert [await run.status() for run in runs] == ["completed"] * 10


async def test_time_passes_while_a_tool_hangs(exchange: ExchangeFactory) -> None:
    gate = Gate()
    async with exchange(app, tools={"look_up": gate}) as tl:
        run = await tl.start(hasty, "o-1")
        await gate.reached.wait()
        await tl.skip("1h", during_steps=True)
        assert await run.result() == "no answer"
        (await tl.journal(run)).in_order("sleep")
