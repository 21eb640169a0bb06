"""What an agent worker is sent that is not what it says it is costs its message, and nothing else."""

from __future__ import annotations

import pytest

from integration.agents.conftest import Exchange, Worker
from integration.agents.hands import Hands, hands, impatient
from trunkline.domain.codec import dumps
from trunkline.domain.work import Outcome, WorkItem

__all__ = ["hands", "impatient"]  # fixtures


def _outcome(item: WorkItem, **fields: object) -> Outcome:
    return Outcome.model_validate(
        {
            "tenant": item.tenant, "instance": item.instance, "agent": item.agent, "run": item.run, "step": item.step,
            "attempt": item.attempt, "worker": "hands", **fields,
        }
    )  # fmt: skip


@pytest.mark.parametrize("instance", ["none", "x" * 1000, ""])
async def test_a_wake_or_a_permit_request_for_what_is_no_id(
    instance: str, exchange: Exchange, worker: Worker, hands: Hands
) -> None:
    wake = dumps({"tenant": "default", "agent": "finder", "instance": instance})
    await exchange.bus.publish(exchange.bus.subjects.inbox("default", "finder"), wake)
    run = await exchange.request("finder", "one", 5)
    item = await hands.item()
    strange = item.model_copy(update={"instance": instance})
    assert (await hands.ask(strange, "e")).answer == "refused"
    await hands.answer(item, "found")
    assert (await exchange.until(run, "completed")).output == "found"
    assert not worker.ended.done()


async def test_an_outcome_with_text_that_is_none_is_not_delivered_for_ever(
    exchange: Exchange, worker: Worker, hands: Hands
) -> None:
    run = await exchange.request("finder", "one", 5)
    item = await hands.item()
    body = _outcome(item, step="STEP").model_dump_json().replace("STEP", "\\u0000").encode()
    await exchange.bus.publish(item.reply, body)
    await exchange.eventually(lambda: _nothing_lies_there(exchange))
    await hands.answer(item, "found")
    assert (await exchange.until(run, "completed")).output == "found"


async def test_an_outcome_whose_value_is_no_longer_there_is_one_that_failed(
    exchange: Exchange, worker: Worker, hands: Hands
) -> None:
    run = await exchange.request("finder", "one", 5)
    item = await hands.item()
    await exchange.bus.publish(item.reply, dumps(_outcome(item, value_ref="gone")))
    again = await hands.item()
    assert again.attempt == 2
    await hands.answer(again, "found")
    assert (await exchange.until(run, "completed")).output == "found"


async def _nothing_lies_there(exchange: Exchange) -> bool:
    subject = f"$JS.API.STREAM.INFO.{exchange.bus.subjects.stream_name('REPLY')}"
    return b'"messages":0' in await exchange.bus.request(subject, b"", 2)
