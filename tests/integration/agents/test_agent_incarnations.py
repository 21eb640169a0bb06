"""A run that never ends costs no more than its latest incarnation: to bring it back, and to keep."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import BaseModel

from integration.agents.conftest import Exchange, Worker
from trunkline import App, Context
from trunkline.domain.status import EnvelopeKind, RunStatus
from trunkline.settings import Settings
from trunkline.store import history, journal, retention, runs
from trunkline.store.audit import audit

app = App("lasting_agents")
Go = app.signal("go", str)
MANY = 5000
AT_MOST = 40  # entries that an activation may read


class Tally(BaseModel):
    total: int = 0


@app.agent("counter", timeout=timedelta(days=9))
async def counter(ctx: Context[Tally], left: int) -> str:
    ctx.state.total += 1
    if left:
        ctx.continue_as_new(left - 1)
    return f"{await ctx.wait_for(Go)} {ctx.state.total}"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"snapshot_after": AT_MOST - 10})


async def past(exchange: Exchange) -> history.History:
    instance = exchange.instance("counter", "c")
    found = (await history.read(exchange.db, [instance]))[instance]
    assert isinstance(found, history.History)
    return found


async def test_after_thousands_of_incarnations_activation_reads_a_few_rows_and_the_rest_can_go(
    exchange: Exchange,
) -> None:
    async with Worker(exchange.settings, app):
        run = await exchange.request("counter", "c", MANY)
        await exchange.eventually(lambda: _waits(exchange, run), timeout=120)
    found = await past(exchange)
    assert len(found.rows) <= AT_MOST
    assert found.covered > MANY - AT_MOST
    [(lasting, instance)] = await retention.lasting(exchange.db, 10)
    assert (lasting, instance) == (run, exchange.instance("counter", "c"))
    assert await retention.remember(exchange.db, [run]) == [instance]
    assert await retention.shorten(exchange.db, [instance], 3600, 10_000) == 0, "what is young stays"
    assert await retention.shorten(exchange.db, [instance], 0, 10_000) == found.covered
    assert await retention.lasting(exchange.db, 10) == [], "there is nothing more to cut"
    assert (await audit(exchange.db, "default")).violations == []
    async with Worker(exchange.settings, app):
        await exchange.post("counter", "c", EnvelopeKind.SIGNAL, {"name": "go", "data": "counted"}, run=run)
        ended = await exchange.until(run, "completed")
    assert ended.output == f"counted {MANY + 1}"
    assert (await audit(exchange.db, "default")).violations == []


async def test_a_loop_of_incarnations_can_be_cancelled(
    exchange: Exchange,
) -> None:
    async with Worker(exchange.settings, app):
        run = await exchange.request("counter", "c", 10**9)
        await exchange.eventually(lambda: _begun(exchange, run))
        await exchange.post("counter", "c", EnvelopeKind.CANCEL, {"reason": "enough"}, run=run)
        await exchange.until(run, "cancelled")
    assert (await audit(exchange.db, "default")).violations == []


async def _waits(exchange: Exchange, run: str) -> bool:
    return (await runs.get(exchange.db, "default", run)).status is RunStatus.WAITING


async def _begun(exchange: Exchange, run: str) -> bool:
    return len(await journal.read_run(exchange.db, "default", run, limit=50)) == 50
