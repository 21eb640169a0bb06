"""Coming back after a long time without a snapshot: in shares, so that the worker's loop turns in between."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from integration.agents.conftest import Exchange, Worker
from trunkline import App, Context
from trunkline.domain.journal import Entry
from trunkline.domain.status import EnvelopeKind
from trunkline.engine.checking import Check
from trunkline.settings import Settings
from trunkline.store import history, journal
from trunkline_workers.agent import loading

app = App("long_histories")
Go = app.signal("go", Any)


async def double(number: int) -> int:
    return number * 2


@app.agent("lasting")
async def lasting(ctx: Context, _: Any) -> None:
    while True:
        for number in range(await ctx.wait_for(Go)):
            await ctx.step(double, number)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"idle_after": 600.0})


@pytest.fixture
async def run(exchange: Exchange) -> str:
    """A run of some dozens of entries that nobody holds any more."""
    async with Worker(exchange.settings, app):
        begun = await exchange.request("lasting", "l", None)
        await worked(exchange, begun, 20)
    return begun


async def worked(exchange: Exchange, run: str, steps: int) -> int:
    """Have the run do so many steps. Returns how many entries there were before."""
    before = len(await exchange.entries(run))
    await exchange.post("lasting", "l", EnvelopeKind.SIGNAL, {"name": "go", "data": steps}, run=run)

    async def all_done() -> bool:
        return len(await exchange.entries(run)) >= before + 2 * steps + 3

    await exchange.eventually(all_done)
    return before


async def test_a_long_run_comes_back_in_shares(exchange: Exchange, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "SHARE", 5)
    monkeypatch.setattr(history, "SHARE", 5)
    replayed: list[int] = []
    turns, apply = [0], Check.apply
    at: list[int] = []

    def counted(check: Check, entries: Sequence[Entry]) -> None:
        replayed.append(len(entries))
        at.append(turns[0])
        apply(check, entries)

    async def turn() -> None:
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(Check, "apply", counted)
    turning = asyncio.create_task(turn())
    async with Worker(exchange.settings, app):
        before = await worked(exchange, run, 1)
    turning.cancel()
    assert (sum(replayed), max(replayed)) == (before - 1, 5), "all behind RunStarted"
    assert len(set(at)) == len(at), "the loop turns between two shares"


async def test_what_is_between_two_shares_is_found(
    exchange: Exchange, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "SHARE", 5)
    instance = exchange.instance("lasting", "l")
    whole = (await journal.read(exchange.db, [instance]))[instance]
    found = (await history.read(exchange.db, [instance]))[instance]
    assert isinstance(found, history.History)
    assert isinstance(whole, journal.Journal)
    assert found.rows == whole.rows
    assert await found.folded() == found.fold()
    async with exchange.db.connection() as connection, connection.transaction():
        await connection.execute("set local session_replication_role = 'replica'")  # the journal refuses it otherwise
        await connection.execute("delete from journal where instance = %s and version = 6", [instance])
    refused = (await history.read(exchange.db, [instance]))[instance]
    assert "version 6 is missing" in str(refused)
