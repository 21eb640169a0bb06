"""What handlers are told of the time, by a worker whose idea of Postgres's clock is behind."""

from __future__ import annotations

from typing import Any

from integration.agents.conftest import Exchange, Worker
from trunkline import App, Context, TimedOut
from trunkline.domain.status import EnvelopeKind
from trunkline_workers.agent.office import Clock

NAP = 0.05  # seconds

app = App("time_under_test")
Go = app.signal("go", str)


@app.agent("nightly")
async def nightly(ctx: Context, _: None) -> list[float]:
    began = ctx.now()
    await ctx.sleep(NAP)
    return [began.timestamp(), ctx.now().timestamp()]


@app.agent("hasty")
async def hasty(ctx: Context, _: None) -> list[float]:
    began = ctx.now()
    try:
        await ctx.wait_for(Go, timeout=NAP)
    except TimedOut:
        return [began.timestamp(), ctx.now().timestamp()]
    return []


class Behind(Clock):
    """By an hour."""

    def set(self, postgres_now: float) -> None:
        super().set(postgres_now - 3600.0)


async def test_a_run_does_not_begin_before_the_time_that_it_was_scheduled_for(exchange: Exchange) -> None:
    due = await exchange.db.now()
    began, _ = await _times(exchange, "nightly", {"due": due})
    assert began == due


async def test_a_sleep_ends_when_it_was_to(exchange: Exchange) -> None:
    before = await exchange.db.now()
    _, woke = await _times(exchange, "nightly", {})
    assert before + NAP <= woke <= await exchange.db.now()


async def test_a_wait_times_out_when_it_was_to(exchange: Exchange) -> None:
    before = await exchange.db.now()
    _, gave_up = await _times(exchange, "hasty", {})
    assert before + NAP <= gave_up <= await exchange.db.now()


async def _times(exchange: Exchange, agent: str, more: dict[str, Any]) -> list[float]:
    async with Worker(exchange.settings, app, Behind()):
        body = {"input": None, "handler": "", "parent": None, **more}
        run = await exchange.post(agent, "one", EnvelopeKind.REQUEST, body)
        await exchange.until_due()
        output: list[float] = (await exchange.until(run, "completed")).output
        return output
