"""What an agent worker is sent that is not what it says it is costs its message, and nothing else."""

from __future__ import annotations

import pytest

from integration.agents.conftest import Exchange, Worker
from integration.agents.hands import Hands, hands, impatient
from trunkline.domain.codec import dumps
from trunkline.store import journal

__all__ = ["hands", "impatient"]  # fixtures


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


async def test_a_wake_in_capitals_is_for_the_instance_that_is_here(
    exchange: Exchange, worker: Worker, hands: Hands
) -> None:
    run = await exchange.request("finder", "one", 5)
    item = await hands.item()
    wake = dumps({"tenant": "default", "agent": "finder", "instance": item.instance.upper()})
    await exchange.bus.publish(exchange.bus.subjects.inbox("default", "finder"), wake)
    await exchange.request("finder", "two", 5)
    assert (await hands.item()).instance != item.instance, "this wake was looked at after the other"
    await hands.answer(item, "found")
    assert (await exchange.until(run, "completed")).output == "found"
    assert {row.epoch for row in await journal.read_run(exchange.db, "default", run)} == {1}
