"""What an agent worker is sent that is not what it says it is costs its message, and nothing else."""

from __future__ import annotations

import pytest

from integration.agents.conftest import Exchange, Worker
from integration.agents.hands import Hands, hands, impatient
from trunkline.domain.codec import dumps

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
