"""An unsafe step that fell silent: its tool's probe is asked. What comes too late, and contradicts, is kept."""

from __future__ import annotations

import pytest

from integration.agents.conftest import Exchange, Worker
from integration.agents.hands import Hands, hands, impatient
from trunkline.domain.ids import new_id
from trunkline.domain.status import EnvelopeKind
from trunkline.domain.work import NOT_HAPPENED, WorkItem
from trunkline.store import dead_letters
from trunkline.store.dead_letters import Kept
from trunkline_workers.agent import doubt, probing

__all__ = ["hands", "impatient"]  # fixtures

RESOLVE = EnvelopeKind.RESOLVE
NO = {"type": NOT_HAPPENED, "message": "it did not happen", "retryable": False}
CANNOT_TELL = {"type": "Away", "message": "the bank is closed", "retryable": True, "unknown": True}

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doubt, "PROBE_WAIT", 0.1)
    monkeypatch.setattr(probing, "AGAIN_AFTER", 0.05)


async def silent(exchange: Exchange, hands: Hands, agent: str, key: str) -> tuple[str, WorkItem]:
    """A run whose unsafe step has begun, and is not heard of again."""
    run = await exchange.request(agent, key, 5)
    item = await hands.item()
    assert (await hands.ask(item, "mine")).answer == "go"
    return run, item


async def conflicts(exchange: Exchange) -> list[Kept]:
    return (await dead_letters.list_dead_letters(exchange.db, "default", source="outcome"))[0]


async def _everything_before_is_handled(exchange: Exchange, hands: Hands) -> None:
    """Outcomes are handled in the order in which they come: one more, and all before it are."""
    other = await exchange.request("finder", new_id(), 5)
    await hands.answer(await hands.item(), "found")
    await exchange.until(other, "completed")


# --- probes -----------------------------------------------------------------------------------------------------------


async def test_a_probe_that_finds_it_completes_the_step(exchange: Exchange, worker: Worker, hands: Hands) -> None:
    run, item = await silent(exchange, hands, "sender", "found")
    probe = await hands.item()
    assert (probe.probe, probe.attempt, probe.args) == (True, item.attempt, item.args)
    assert probe.idempotency_key == item.idempotency_key
    assert not probe.needs_permit
    await hands.answer(probe, "sent")
    assert (await exchange.until(run, "completed", "parked")).output == "sent"
    assert "RunParked" not in await exchange.entries(run)


async def test_a_probe_that_finds_nothing_has_it_tried_again(exchange: Exchange, worker: Worker, hands: Hands) -> None:
    run, item = await silent(exchange, hands, "sender", "nothing")
    await hands.answer(await hands.item(), error=NO)
    second = await hands.item()
    assert (second.attempt, second.probe) == (2, False)
    assert (await hands.ask(item, "mine")).answer == "refused"
    assert (await hands.ask(second, "anew")).answer == "go"
    await hands.answer(second, "sent")
    assert (await exchange.until(run, "completed", "parked")).output == "sent"


async def test_a_probe_that_cannot_tell_is_asked_again_and_then_a_person(
    exchange: Exchange, worker: Worker, hands: Hands
) -> None:
    run, _ = await silent(exchange, hands, "sender", "closed")
    for _ in range(doubt.MOST_PROBES):
        await hands.answer(await hands.item(), error=CANNOT_TELL, execution=new_id())
    parked = await exchange.until(run, "parked")
    assert parked.parked_reason == "outcome-unknown"
    assert "the bank is closed" in parked.parked_detail
    assert f"asked {doubt.MOST_PROBES} times" in parked.parked_detail


async def test_each_attempt_is_asked_about_anew(exchange: Exchange, worker: Worker, hands: Hands) -> None:
    run, _ = await silent(exchange, hands, "sender", "twice")
    for _ in range(doubt.MOST_PROBES):
        await hands.answer(await hands.item(), error=CANNOT_TELL, execution=new_id())
    await exchange.until(run, "parked")
    await exchange.post("sender", "twice", RESOLVE, {"outcome": "again"}, run=run)
    second = await hands.item()
    assert (await hands.ask(second, "anew")).answer == "go"
    probe = await hands.item()
    assert (probe.probe, probe.attempt) == (True, 2)
    await hands.answer(probe, "sent")
    assert (await exchange.until(run, "completed", "parked")).output == "sent"


async def test_probes_that_say_nothing_leave_it_to_a_person(exchange: Exchange, worker: Worker, hands: Hands) -> None:
    run, _ = await silent(exchange, hands, "sender", "deaf")
    parked = await exchange.until(run, "parked")
    assert parked.parked_reason == "outcome-unknown"


async def test_an_outcome_that_comes_while_the_probe_is_asked_counts(
    exchange: Exchange, worker: Worker, hands: Hands
) -> None:
    run, item = await silent(exchange, hands, "sender", "late")
    probe = await hands.item()
    await hands.answer(item, "sent", execution="mine")
    assert (await exchange.until(run, "completed", "parked")).output == "sent"
    await hands.answer(probe, error=NO)  # it looked too early
    await _everything_before_is_handled(exchange, hands)
    assert (await exchange.entries(run)).count("StepRetried") == 0


# --- late outcomes ----------------------------------------------------------------------------------------------------


async def resolved(exchange: Exchange, hands: Hands, key: str, said: dict[str, object]) -> tuple[str, WorkItem]:
    run, item = await silent(exchange, hands, "payer", key)
    await exchange.until(run, "parked")
    await exchange.post("payer", key, RESOLVE, said, run=run)
    return run, item


async def test_a_late_success_contradicts_who_said_that_it_failed(
    exchange: Exchange, worker: Worker, hands: Hands
) -> None:
    run, item = await resolved(exchange, hands, "no", {"outcome": "failed", "reason": "refused", "by": "ann"})
    await exchange.until(run, "failed")
    await hands.answer(item, "paid", execution="mine")
    (kept,) = await exchange.eventually(lambda: conflicts(exchange))
    assert (kept.reason, kept.body["value"]) == ("conflict", "paid")
    assert "hands tells of it late, and it is recorded as failed, by ann" in kept.detail
    await hands.answer(item, "paid", execution="mine")  # redelivered
    await _everything_before_is_handled(exchange, hands)
    assert len(await conflicts(exchange)) == 1


async def test_a_late_success_contradicts_the_attempt_after_it(
    exchange: Exchange, worker: Worker, hands: Hands
) -> None:
    run, first = await resolved(exchange, hands, "again", {"outcome": "again"})
    second = await hands.item()
    assert (await hands.ask(second, "anew")).answer == "go"
    await hands.answer(first, "paid", execution="mine")
    (kept,) = await exchange.eventually(lambda: conflicts(exchange))
    assert "it was tried again (resolved)" in kept.detail
    await hands.answer(second, "paid twice", execution="anew")
    assert (await exchange.until(run, "completed", "parked")).output == "paid twice"


async def test_a_late_success_ends_the_step_when_nothing_began_anew(
    exchange: Exchange, worker: Worker, hands: Hands
) -> None:
    run, first = await resolved(exchange, hands, "once", {"outcome": "again"})
    second = await hands.item()
    await hands.answer(first, "paid", execution="mine")
    assert (await exchange.until(run, "completed", "parked")).output == "paid"
    assert (await hands.ask(second, "anew")).answer == "refused"
    assert await conflicts(exchange) == []


async def test_what_only_confirms_is_no_conflict(exchange: Exchange, worker: Worker, hands: Hands) -> None:
    run, item = await resolved(exchange, hands, "yes", {"outcome": "happened", "value": "paid", "by": "ann"})
    await exchange.until(run, "completed")
    await hands.answer(item, "paid", execution="mine")
    await _everything_before_is_handled(exchange, hands)
    assert await conflicts(exchange) == []


async def test_a_late_outcome_that_comes_as_mail_is_looked_at_as_well(exchange: Exchange, hands: Hands) -> None:
    async with Worker(exchange.settings):
        run, item = await resolved(exchange, hands, "moved", {"outcome": "failed", "reason": "refused", "by": "ann"})
        await exchange.until(run, "failed")
    async with Worker(exchange.settings):
        other = await exchange.request("payer", "elsewhere", 1)
        elsewhere = await hands.item()
        await hands.answer(item.model_copy(update={"reply": elsewhere.reply}), "paid", execution="mine")
        (kept,) = await exchange.eventually(lambda: conflicts(exchange))
        assert "recorded as failed, by ann" in kept.detail
        await hands.answer(elsewhere, "paid")
        await exchange.until(other, "completed")
