"""Who may carry out a step: the owner's answers to those who ask, and what it does about one who fell silent."""

from __future__ import annotations

import pytest

from integration.agents.conftest import Exchange, Worker
from integration.agents.hands import Hands, hands, impatient
from trunkline.domain.errors import Unavailable
from trunkline.domain.ids import new_id
from trunkline.domain.status import EnvelopeKind
from trunkline.domain.work import WorkItem
from trunkline.store import dead_letters, leases
from trunkline_workers.agent import permits, probing, watching

__all__ = ["hands", "impatient"]  # fixtures

RESOLVE = EnvelopeKind.RESOLVE


async def test_an_unsafe_step_begins_once_and_its_permit_is_recorded_first(
    exchange: Exchange, worker: Worker, hands: Hands
) -> None:
    run = await exchange.request("payer", "one", 5)
    item = await hands.item()
    mine, other = new_id(), new_id()
    first = await hands.ask(item, mine)
    assert first.answer == "go"
    assert first.begin_within is not None
    assert 0 < first.begin_within <= 5
    assert (await exchange.entries(run))[-1] == "StepStarted"
    again = await hands.ask(item, mine)
    assert again.answer == "go", "the same execution gets the same answer"
    assert again.begin_within is not None
    assert again.begin_within < first.begin_within, "and no more time"
    assert (await hands.ask(item, other)).answer == "refused"
    await hands.answer(item, "paid")
    assert (await exchange.until(run, "completed")).output == "paid"
    assert (await hands.ask(item, mine)).answer == "refused", "the step has ended"


async def test_an_unsafe_step_that_has_begun_is_not_issued_again_by_the_next_owner(
    exchange: Exchange, hands: Hands
) -> None:
    async with Worker(exchange.settings):
        run = await exchange.request("payer", "moved", 5)
        item = await hands.item()
        assert (await hands.ask(item, "first")).answer == "go"
    async with exchange.db.connection() as connection:
        await connection.execute("update instances set takeovers = 1 where key = 'moved'")
    async with Worker(exchange.settings):
        await exchange.until_held("payer", "moved")
        assert (await hands.ask(item, "second")).answer == "refused"
        owner = await leases.owner_of(exchange.db, item.instance)
        assert owner is not None
        here = exchange.bus.subjects.reply("default", owner)
        await hands.answer(item.model_copy(update={"reply": here}), "paid")
        assert (await exchange.until(run, "completed")).output == "paid"
    assert hands.items.empty()
    assert (await exchange.entries(run)).count("StepStarted") == 1


async def test_an_unsafe_step_whose_worker_was_let_begin_and_did_not_is_issued_again(
    exchange: Exchange, worker: Worker, hands: Hands
) -> None:
    run, first = await let_begin(exchange, hands, "away")
    await hands.did_not_begin(first, "a stranger's")
    await goes_on_without_it(exchange, hands, run, first)
    assert (await exchange.entries(run)).count("StepRetried") == 1, "nobody else can say that it did not begin"
    assert "RunParked" not in await exchange.entries(run)


@pytest.mark.usefixtures("impatient")
async def test_a_run_that_was_parked_meanwhile_goes_on_when_its_worker_says_that_it_did_not_begin(
    exchange: Exchange, worker: Worker, hands: Hands
) -> None:
    run, first = await let_begin(exchange, hands, "gave up")
    await exchange.until(run, "parked")
    await goes_on_without_it(exchange, hands, run, first)


@pytest.mark.usefixtures("impatient")
async def test_an_unsafe_step_that_never_begins_is_unknown_in_the_end(
    exchange: Exchange, worker: Worker, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "MOST_ATTEMPTS", 3)
    run = await exchange.request("payer", "never", 5)
    for _ in range(3):
        item = await hands.item()
        assert (await hands.ask(item, "mine")).answer == "go"
        await hands.did_not_begin(item, "mine")
    parked = await exchange.until(run, "parked")
    assert "did not: it did not begin" in parked.parked_detail
    assert hands.items.empty()


@pytest.mark.usefixtures("impatient")
async def test_nothing_is_said_about_a_permit_until_it_is_recorded(
    exchange: Exchange, worker: Worker, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permits, "FORWARD_TIMEOUT", 0.1)
    run = await exchange.request("payer", "slow", 5)
    first = await hands.item()
    async with exchange.db.connection() as connection, connection.transaction():
        await connection.execute("lock table journal in exclusive mode")
        with pytest.raises(Unavailable):
            await hands.ask(first, "mine", within=1.0)
    late = await hands.ask(first, "mine")
    assert late.answer == "go"
    assert late.begin_within is not None
    assert late.begin_within < 0, "its time to begin is over"
    await goes_on_without_it(exchange, hands, run, first)


@pytest.mark.usefixtures("impatient")
async def test_silence_after_the_permit_parks_the_run_until_a_late_outcome_comes(
    exchange: Exchange, worker: Worker, hands: Hands
) -> None:
    run, item = await let_begin(exchange, hands, "silent")
    parked = await exchange.until(run, "parked")
    assert parked.parked_reason == "outcome-unknown"
    assert "hands began it" in parked.parked_detail
    await hands.answer(item, "paid after all")
    ended = await exchange.until(run, "completed")
    assert (ended.output, ended.parked_reason) == ("paid after all", "")
    assert hands.items.empty(), "it was not tried again"


@pytest.mark.usefixtures("impatient")
async def test_an_unsafe_tool_that_was_cut_off_leaves_the_outcome_unknown(
    exchange: Exchange, worker: Worker, hands: Hands
) -> None:
    run, item = await let_begin(exchange, hands, "cut")
    error = {"type": "TimedOut", "message": "gave no result within 1 s", "retryable": False, "unknown": True}
    await hands.answer(item, error=error)
    parked = await exchange.until(run, "parked", "failed")
    assert parked.parked_reason == "outcome-unknown"
    assert "gave no result" in parked.parked_detail


@pytest.mark.usefixtures("impatient")
async def test_what_comes_for_other_steps_meanwhile_is_kept(exchange: Exchange, worker: Worker, hands: Hands) -> None:
    run = await exchange.request("double_payer", "parallel", 5)
    items = {item.name: item for item in (await hands.item(), await hands.item())}
    await hands.ask(items["wire"], "mine")
    await exchange.until(run, "parked")
    await hands.answer(items["look_up"], "found")

    async def kept() -> bool:
        async with exchange.db.connection() as connection:
            cursor = await connection.execute("select count(*) from mailbox where kind = 'reply' and taken_at is null")
            return (await cursor.fetchone())[0] == 1

    await exchange.eventually(kept)
    assert (await exchange.until(run, "parked")).status == "parked", "the other step's outcome does not free it"
    await hands.answer(items["wire"], "paid")
    assert (await exchange.until(run, "completed")).output == "paid found"


@pytest.mark.usefixtures("impatient")
async def test_who_asks_while_the_run_is_parked_is_told_later(exchange: Exchange, worker: Worker, hands: Hands) -> None:
    run = await exchange.request("double_payer", "asked", 5)
    items = {item.name: item for item in (await hands.item(), await hands.item())}
    await hands.ask(items["wire"], "mine")
    await exchange.until(run, "parked")
    assert (await hands.ask(items["look_up"], "other")).answer == "later"
    await hands.answer(items["wire"], "paid")
    await exchange.until(run, "running", "waiting")
    assert (await hands.ask(items["look_up"], "other")).answer == "go"
    await hands.answer(items["look_up"], "found")
    assert (await exchange.until(run, "completed")).output == "paid found"


async def test_a_step_that_was_issued_again_refuses_the_attempt_before(
    exchange: Exchange, worker: Worker, hands: Hands
) -> None:
    run = await exchange.request("finder", "again", 5)
    first = await hands.item()
    await hands.answer(first, error={"type": "Away", "message": "try again", "retryable": True})
    second = await hands.item()
    assert (first.attempt, second.attempt) == (1, 2)
    assert first.idempotency_key == second.idempotency_key
    assert (await hands.ask(first, "old")).answer == "refused"
    assert (await hands.ask(second, "new")).answer == "go"
    await hands.answer(second, "found")
    assert (await exchange.until(run, "completed")).output == "found"
    await hands.answer(first, "late")
    assert (await exchange.entries(run)).count("StepCompleted") == 1


async def test_a_retry_is_not_issued_before_its_delay_is_over(
    exchange: Exchange, worker: Worker, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "QUEUE_WAIT", 0.1)
    run = await exchange.request("rare", "failed", 5)
    await hands.answer(await hands.item(), error={"type": "Away", "message": "come back later", "retryable": True})
    silent = await exchange.request("rare", "silent", 5)
    await hands.item()
    again = await hands.item()
    assert (again.run, again.attempt) == (silent, 2), "it is due after the other would have been"
    assert (await exchange.entries(run)).count("StepRetried") == 1


async def is_paid_at_the_second(exchange: Exchange, hands: Hands, run: str, first: WorkItem, *, refused: str) -> None:
    """The next attempt is issued and let begin, and an execution of the first is refused."""
    second = await hands.item()
    assert (second.attempt, second.idempotency_key) == (2, first.idempotency_key)
    assert (await hands.ask(first, refused)).answer == "refused"
    assert (await hands.ask(second, "anew")).answer == "go"
    await hands.answer(second, "paid")
    assert (await exchange.until(run, "completed")).output == "paid"


async def goes_on_without_it(exchange: Exchange, hands: Hands, run: str, first: WorkItem) -> None:
    """Whoever was let begin says that it did not."""
    await hands.did_not_begin(first, "mine")
    await is_paid_at_the_second(exchange, hands, run, first, refused="other")


async def let_begin(exchange: Exchange, hands: Hands, key: str) -> tuple[str, WorkItem]:
    """A run of which an execution, "mine", was let begin its unsafe step."""
    run = await exchange.request("payer", key, 5)
    item = await hands.item()
    assert (await hands.ask(item, "mine")).answer == "go"
    return run, item


async def unknown(exchange: Exchange, hands: Hands, key: str) -> tuple[str, WorkItem]:
    """A run that is parked because nobody knows what became of its unsafe step."""
    run, item = await let_begin(exchange, hands, key)
    error = {"type": "TimedOut", "message": "gave no result", "retryable": False, "unknown": True}
    await hands.answer(item, error=error)
    await exchange.until(run, "parked")
    return run, item


@pytest.mark.usefixtures("impatient")
async def test_somebody_says_that_it_happened(exchange: Exchange, worker: Worker, hands: Hands) -> None:
    run, _ = await unknown(exchange, hands, "happened")
    await exchange.post("payer", "happened", RESOLVE, {"outcome": "happened", "value": "paid", "by": "ann"}, run=run)
    assert (await exchange.until(run, "completed", "failed")).output == "paid"
    assert "RunResumed" in await exchange.entries(run)


@pytest.mark.usefixtures("impatient")
async def test_somebody_says_that_it_failed(exchange: Exchange, worker: Worker, hands: Hands) -> None:
    run, _ = await unknown(exchange, hands, "failed")
    await exchange.post("payer", "failed", RESOLVE, {"outcome": "failed", "reason": "the bank refused"}, run=run)
    ended = await exchange.until(run, "completed", "failed")
    assert ended.status == "failed"
    assert "the bank refused" in str(ended.error)


@pytest.mark.usefixtures("impatient")
async def test_somebody_says_that_it_is_to_be_tried_again(exchange: Exchange, worker: Worker, hands: Hands) -> None:
    run, first = await unknown(exchange, hands, "again")
    await exchange.post("payer", "again", RESOLVE, {"outcome": "again"}, run=run)
    await is_paid_at_the_second(exchange, hands, run, first, refused="mine")


@pytest.mark.usefixtures("impatient")
async def test_that_an_earlier_attempt_was_cut_off_does_not_park_a_later_one(
    exchange: Exchange, worker: Worker, hands: Hands
) -> None:
    run, first = await unknown(exchange, hands, "redelivered")
    await exchange.post("payer", "redelivered", RESOLVE, {"outcome": "again"}, run=run)
    second = await hands.item()
    error = {"type": "TimedOut", "message": "gave no result", "retryable": False, "unknown": True}
    await hands.answer(first, error=error)
    assert (await hands.ask(second, "anew")).answer == "go"
    await hands.answer(second, "paid")
    assert (await exchange.until(run, "completed")).output == "paid"
    assert (await exchange.entries(run)).count("RunParked") == 1


async def test_what_is_resolved_too_late_is_kept_as_a_dead_letter(
    exchange: Exchange, worker: Worker, hands: Hands
) -> None:
    run = await exchange.request("patient", "fine", "well")
    await exchange.until(run, "waiting")
    await exchange.post("patient", "fine", RESOLVE, {"outcome": "happened", "value": 1}, run=run)

    async def kept() -> list[str]:
        return [letter.reason for letter in (await dead_letters.list_dead_letters(exchange.db, "default"))[0]]

    assert await exchange.eventually(kept) == ["its run is not parked"]
