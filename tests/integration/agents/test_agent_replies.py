"""Outcomes on an agent worker's reply subject: acknowledged when they stand in Postgres, and not before."""

from __future__ import annotations

from integration.agents.conftest import Exchange, Worker
from integration.agents.hands import Hands, hands
from trunkline.bus import stored
from trunkline.domain.codec import dumps, loads
from trunkline.domain.ids import new_id
from trunkline.domain.status import Effect
from trunkline.domain.work import Outcome, WorkItem

__all__ = ["hands"]  # a fixture


async def _waiting(exchange: Exchange, item: WorkItem) -> list[str]:
    """The instances of the outcomes that are not acknowledged."""
    messages = await stored.read(exchange.bus, "REPLY", item.reply, limit=10)
    return [loads(message.data)["instance"] for message in messages]


async def test_a_repeated_outcome_waits_for_the_commit_of_the_first(
    exchange: Exchange, worker: Worker, hands: Hands
) -> None:
    run = await exchange.request("finder", "slow", 5)
    item = await hands.item()
    async with exchange.db.connection() as connection, connection.transaction():
        await connection.execute("select from instances where id = %s for update", [item.instance])
        for _ in range(2):
            await hands.answer(item, "found")
        await hands.answer(item.model_copy(update={"instance": new_id()}), "nobody's: it is passed over at once")

        async def both_were_handled() -> list[str] | None:
            left = await _waiting(exchange, item)
            return left if len(left) < 3 else None

        left = await exchange.eventually(both_were_handled)
        assert left == [item.instance] * 2, "nothing is committed yet"
    assert (await exchange.until(run, "completed")).output == "found"

    async def all_acknowledged() -> bool:
        return await _waiting(exchange, item) == []

    await exchange.eventually(all_acknowledged)


async def test_an_outcome_that_may_not_be_kept_is_none(exchange: Exchange, worker: Worker, hands: Hands) -> None:
    run = await exchange.request("finder", "nul", 5)
    item = await hands.item()
    answer = {"attempt": 1, "value": "NUL", **item.model_dump(include={"tenant", "instance", "agent", "run", "step"})}
    await exchange.bus.publish(item.reply, dumps(answer).replace(b"NUL", b"\\u0000"))
    await hands.answer(item, "found")
    ended = await exchange.until(run, "completed", "parked")
    assert (ended.status, ended.output) == ("completed", "found")


async def test_an_outcome_whose_value_is_lost_is_a_failed_attempt(
    exchange: Exchange, worker: Worker, hands: Hands
) -> None:
    run = await exchange.request("finder", "lost", 5)
    item = await hands.item()
    answer = Outcome(**item.model_dump(include=set(Outcome.model_fields)), value_ref="nowhere")
    await exchange.bus.publish(item.reply, dumps(answer))
    second = await hands.item()
    assert second.attempt == 2
    await hands.answer(second, "found")
    assert (await exchange.until(run, "completed")).output == "found"


async def test_a_late_outcome_of_no_run_is_acknowledged(exchange: Exchange, worker: Worker, hands: Hands) -> None:
    run = await exchange.request("payer", "late", 5)
    item = await hands.item()
    assert item.effect is Effect.UNSAFE
    await hands.answer(item.model_copy(update={"run": "no id"}), "paid")

    async def acknowledged() -> bool:
        return await _waiting(exchange, item) == []

    await exchange.eventually(acknowledged)
    await hands.answer(item, "paid")
    assert (await exchange.until(run, "completed")).output == "paid"
