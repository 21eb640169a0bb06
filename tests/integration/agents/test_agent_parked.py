"""Steps beside the one for which a run is parked: what falls due meanwhile is issued when the run is freed, once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from integration.agents import agent_app
from integration.agents.agent_app import shaken
from integration.agents.conftest import Exchange, Worker
from integration.agents.hands import Hands, hands, impatient
from trunkline.domain.status import EnvelopeKind
from trunkline.domain.work import WorkItem
from trunkline_workers.agent import outcomes
from trunkline_workers.agent.activation import Activation
from trunkline_workers.agent.office import Office

__all__ = ["hands", "impatient"]  # fixtures

DELAY = 777.0  # seconds: it is the test that lets it be over
AWAY = {"type": "Away", "message": "try again", "retryable": True}
PAID = {"outcome": "happened", "value": "paid"}


@pytest.fixture
def due(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """What is done when a retry falls due."""
    waiting: list[Callable[[], None]] = []
    later = Office.later

    def wait(self: Office, delay: float, act: Callable[[], None]) -> None:
        if delay == DELAY:
            waiting.append(act)
        else:
            later(self, delay, act)

    monkeypatch.setattr(outcomes, "next_delay", lambda *_: DELAY)
    monkeypatch.setattr(Office, "later", wait)
    return waiting


async def begun(exchange: Exchange, hands: Hands, key: str) -> tuple[str, dict[str, WorkItem]]:
    """A run whose unsafe step has begun, and will not be heard of."""
    run = await exchange.request("double_payer", key, 5)
    items = {item.name: item for item in (await hands.item(), await hands.item())}
    await hands.ask(items["wire"], "mine")
    return run, items


async def retried(exchange: Exchange, run: str) -> None:
    async def look() -> bool:
        return "StepRetried" in await exchange.entries(run)

    await exchange.eventually(look)


@pytest.mark.usefixtures("impatient")
async def test_a_retry_that_falls_due_meanwhile_is_issued_when_the_run_goes_on(
    exchange: Exchange, worker: Worker, hands: Hands, due: list[Any]
) -> None:
    run, items = await begun(exchange, hands, "retried")
    await hands.answer(items["look_up"], error=AWAY)
    await exchange.until(run, "parked")
    [issue] = due
    issue()
    assert hands.items.empty(), "a parked run goes no further"
    await hands.answer(items["wire"], "paid")
    again = await hands.item()
    assert (again.name, again.attempt) == ("look_up", 2)
    assert (await hands.ask(again, "anew")).answer == "go"
    await hands.answer(again, "found")
    assert (await exchange.until(run, "completed")).output == "paid found"
    assert hands.items.empty(), "it was issued once"


@pytest.mark.usefixtures("impatient")
async def test_so_is_a_local_step(exchange: Exchange, worker: Worker, hands: Hands, due: list[Any]) -> None:
    shaken.clear()
    run = await exchange.request("shaking_payer", "local", 5)
    item = await hands.item()
    await hands.ask(item, "mine")
    await exchange.until(run, "parked")
    [issue] = due
    issue()
    await hands.answer(item, "paid")
    assert (await exchange.until(run, "completed")).output == "paid shaken"
    assert shaken == [5, 5]


@pytest.mark.usefixtures("impatient")
async def test_a_local_step_that_ends_meanwhile_frees_nobody(
    exchange: Exchange, worker: Worker, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = asyncio.Event()
    carried_out = Activation.carried_out

    def end(self: Activation, *args: Any) -> None:
        carried_out(self, *args)
        ended.set()

    monkeypatch.setattr(Activation, "carried_out", end)
    monkeypatch.setattr(agent_app, "steady", steady := asyncio.Event())
    run = await exchange.request("holding_payer", "local", 5)
    await hands.ask(await hands.item(), "mine")
    await exchange.until(run, "parked")
    steady.set()
    await asyncio.wait_for(ended.wait(), 10)
    await exchange.post("holding_payer", "local", EnvelopeKind.RESOLVE, PAID, run=run)
    assert (await exchange.until(run, "completed")).output == "paid held"
    assert [one for one in await exchange.entries(run) if one.startswith("Run")] == [
        "RunStarted", "RunParked", "RunResumed", "RunCompleted",
    ]  # fmt: skip


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("agent", ["double_payer", "shaking_payer"])
async def test_the_next_owner_issues_what_was_not_due(
    exchange: Exchange, hands: Hands, due: list[Any], agent: str
) -> None:
    shaken.clear()
    async with Worker(exchange.settings):
        run = await exchange.request(agent, "moved", 5)
        items = {item.name: item for item in [await hands.item() for _ in range(1 + (agent == "double_payer"))]}
        await hands.ask(items["wire"], "mine")
        if "look_up" in items:
            await hands.answer(items["look_up"], error=AWAY)
        await retried(exchange, run)
        await exchange.until(run, "parked")
    async with Worker(exchange.settings):
        await exchange.post(agent, "moved", EnvelopeKind.RESOLVE, PAID, run=run)
        if "look_up" in items:
            again = await hands.item()
            assert (again.name, again.attempt) == ("look_up", 3)
            await hands.answer(again, "found")
        assert (await exchange.until(run, "completed")).output in ("paid found", "paid shaken")


@pytest.mark.usefixtures("impatient")
async def test_of_a_dead_owners_steps_only_those_without_an_outcome_are_issued_again(
    exchange: Exchange, hands: Hands
) -> None:
    async with Worker(exchange.settings):
        run, items = await begun(exchange, hands, "told")
        await exchange.until(run, "parked")
    async with exchange.db.connection() as connection:
        await connection.execute("update instances set takeovers = 1 where key = 'told'")
    async with Worker(exchange.settings):
        await exchange.until_held("double_payer", "told")
        outcome = {"tenant": "default", "instance": items["look_up"].instance, "agent": "double_payer", "run": run}
        outcome |= {"step": items["look_up"].step, "attempt": 1, "worker": "hands", "value": "found"}
        await exchange.post("double_payer", "told", EnvelopeKind.REPLY, outcome, run=run)
        await exchange.post("double_payer", "told", EnvelopeKind.RESOLVE, PAID, run=run)
        assert (await exchange.until(run, "completed")).output == "paid found"
    assert hands.items.empty()
    assert "StepRetried" not in await exchange.entries(run)
