"""Instances whose state was recorded by other code: brought over when they are read, never read by code too old."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from integration.agents.conftest import Exchange, Worker
from trunkline import App, Context
from trunkline.domain.status import EnvelopeKind
from trunkline.store import instances, runs


class Euros(BaseModel):
    model_config = ConfigDict(extra="forbid")
    euros: int = 0


class Cents(BaseModel):
    model_config = ConfigDict(extra="forbid")
    cents: int = 0


old = App("till", version="old")
new = App("till", version="new")
broken = App("till", version="broken")


@old.agent("till")
async def in_euros(ctx: Context[Euros], euros: int) -> int:
    ctx.state.euros += euros
    return ctx.state.euros


@new.agent("till", state_version=2)
async def in_cents(ctx: Context[Cents], euros: int) -> int:
    ctx.state.cents += euros * 100
    return ctx.state.cents


@in_cents.upcast(from_version=1)
def to_cents(state: dict[str, Any]) -> dict[str, Any]:
    return {"cents": state["euros"] * 100}


@broken.agent("till", state_version=2)
async def never(ctx: Context[Cents], euros: int) -> int:
    pytest.fail("nothing runs on a state that could not be brought over")


@never.upcast(from_version=1)
def lost(state: dict[str, Any]) -> dict[str, Any]:
    return {"cents": state["pounds"]}


async def paid(exchange: Exchange, key: str, euros: int) -> runs.Run:
    run = await exchange.request("till", key, euros)
    return await exchange.until(run, "completed", "failed", "parked")


async def state(exchange: Exchange, key: str) -> Any:
    return (await instances.get(exchange.db, "default", "till", key)).state


async def test_a_state_is_brought_over_and_kept_as_of_the_new_version(exchange: Exchange) -> None:
    async with Worker(exchange.settings, old):
        assert (await paid(exchange, "one", 3)).output == 3
    async with Worker(exchange.settings, new):
        assert (await paid(exchange, "one", 0)).output == 300
        assert await state(exchange, "one") == {"euros": 3}
        assert (await paid(exchange, "one", 1)).output == 400
        assert await state(exchange, "one") == {"cents": 400, "$version": 2}
    async with Worker(exchange.settings, new):
        assert (await paid(exchange, "one", 1)).output == 500


async def test_old_code_leaves_a_newer_state_to_the_worker_that_knows_it(exchange: Exchange) -> None:
    async with Worker(exchange.settings, new):
        for number in range(6):
            assert (await paid(exchange, f"k{number}", 1)).output == 100
    async with Worker(exchange.settings, old), Worker(exchange.settings, new):
        for number in range(6):
            assert (await paid(exchange, f"k{number}", 1)).output == 200


@pytest.mark.parametrize(("first", "then", "told"), [(new, old, "of version 2"), (old, broken, "KeyError")])
async def test_a_state_that_nobody_can_read_is_refused_and_says_so(
    exchange: Exchange, first: App, then: App, told: str
) -> None:
    async with Worker(exchange.settings, first):
        before = await paid(exchange, "one", 1)
    kept = await state(exchange, "one")
    async with Worker(exchange.settings, then):
        refused = await paid(exchange, "one", 1)
        assert (refused.status, refused.parked_reason) == ("parked", "unloadable")
        assert told in refused.parked_detail
    assert await state(exchange, "one") == kept
    async with Worker(exchange.settings, first):
        await exchange.post("till", "one", EnvelopeKind.RESOLVE, {"outcome": "again"}, run=refused.id)
        assert (await exchange.until(refused.id, "completed")).output == 2 * before.output
