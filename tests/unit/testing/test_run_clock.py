"""The clock of ``testing.run``: sleeps are skipped, and the handler's time moves on as if they were not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from trunkline import App, Context, testing

app = App("clock")
A_SECOND = timedelta(seconds=1)


@app.agent("sleeper")
async def sleeper(ctx: Context, duration: str) -> list[str]:
    before = ctx.now()
    await ctx.sleep(duration)
    return [before.isoformat(), ctx.now().isoformat()]


async def test_the_clock_of_a_handler_moves_on_by_what_it_slept() -> None:
    outcome = await testing.run(sleeper, "2d")
    before, after = map(datetime.fromisoformat, outcome.output)
    assert timedelta(days=2) <= after - before < timedelta(days=2) + A_SECOND
    assert timedelta(days=2) <= outcome.elapsed < timedelta(days=2) + A_SECOND


async def test_a_run_without_a_wait_takes_no_time() -> None:
    assert (await testing.run(sleeper, "0s")).elapsed < A_SECOND


async def test_a_test_sets_the_time_at_which_the_run_begins() -> None:
    start = datetime(2030, 5, 1, 12, tzinfo=UTC)
    outcome = await testing.run(sleeper, "1h", at=start.timestamp())
    before, after = map(datetime.fromisoformat, outcome.output)
    assert start <= before < start + A_SECOND
    assert after >= start + timedelta(hours=1)
