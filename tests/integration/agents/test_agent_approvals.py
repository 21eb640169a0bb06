"""A decision is asked for in Postgres, answers just what was asked, once, and is gone with what asked for it."""

from __future__ import annotations

from integration.agents.conftest import Exchange, Worker
from trunkline.domain.approvals import signal_name
from trunkline.domain.status import EnvelopeKind
from trunkline.store import approvals, dead_letters
from trunkline.store.approvals import Pending

SIGNAL, CANCEL = EnvelopeKind.SIGNAL, EnvelopeKind.CANCEL
YES = {"approved": True, "by": "ann"}


async def pending(exchange: Exchange) -> list[Pending]:
    return (await approvals.list_approvals(exchange.db, "default"))[0]


async def decide(exchange: Exchange, key: str, subject: object, run: str) -> None:
    await exchange.post("buyer", key, SIGNAL, {"name": signal_name("buy", subject), "data": YES}, run=run)


async def refusals(exchange: Exchange) -> list[str]:
    return [letter.reason for letter in (await dead_letters.list_dead_letters(exchange.db, "default"))[0]]


async def test_it_is_listed_until_it_is_decided(exchange: Exchange, worker: Worker) -> None:
    run = await exchange.request("buyer", "one", 5)
    await exchange.until(run, "waiting")
    (asked,) = await pending(exchange)
    assert (asked.run, asked.agent, asked.key, asked.name, asked.subject) == (run, "buyer", "one", "buy", {"cents": 5})
    assert asked.expires_at is not None
    assert asked.expires_at - asked.created_at == 600
    assert await approvals.get(exchange.db, "default", asked.id) == asked
    await decide(exchange, "one", {"cents": 5}, run)
    assert (await exchange.until(run, "completed")).output == "ann said True"
    assert await pending(exchange) == []


async def test_a_decision_about_something_else_answers_nothing(exchange: Exchange, worker: Worker) -> None:
    run = await exchange.request("buyer", "two", 5)
    await exchange.until(run, "waiting")
    await decide(exchange, "two", {"cents": 5_000_000}, run)
    assert await exchange.eventually(lambda: refusals(exchange)) == ["no run waits for this decision (any more)"]
    assert (await exchange.until(run, "waiting")).status == "waiting"


async def test_a_decision_that_nobody_has_asked_for_yet_is_not_kept(exchange: Exchange, worker: Worker) -> None:
    await exchange.post("buyer", "three", SIGNAL, {"name": signal_name("buy", {"cents": 5}), "data": YES})
    await exchange.eventually(lambda: refusals(exchange))
    run = await exchange.request("buyer", "three", 5)
    await exchange.until(run, "waiting")
    assert len(await pending(exchange)) == 1


async def test_nobody_need_decide_about_a_run_that_was_cancelled(exchange: Exchange, worker: Worker) -> None:
    run = await exchange.request("buyer", "four", 5)
    await exchange.until(run, "waiting")
    await exchange.post("buyer", "four", CANCEL, {"reason": "no"}, run=run)
    await exchange.until(run, "cancelled")
    assert await pending(exchange) == []
