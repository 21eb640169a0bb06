"""An activation is dropped while its commits are under way: the next one knows what of them was given to nobody."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from integration.agents.conftest import Exchange, Worker
from integration.agents.hands import Hands, hands
from trunkline.bus.connection import Bus
from trunkline.domain.codec import dumps
from trunkline.domain.ids import new_id
from trunkline.domain.mail import Envelope, Mail
from trunkline.domain.status import EnvelopeKind
from trunkline.domain.work import Wake
from trunkline.store.accept import accept
from trunkline_workers.agent import mail
from trunkline_workers.agent.activation import Activation
from trunkline_workers.agent.turn import Turn

__all__ = ["hands"]  # a fixture


@pytest.fixture
def dropping(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal has its instance loaded anew, behind the commit that takes it."""

    def drop(activation: Activation, letter: Mail, turn: Turn) -> None:
        turn.more.taken.append(letter.seq)
        turn.after.append(partial(activation.leave, None))

    monkeypatch.setitem(mail.HANDLERS, EnvelopeKind.SIGNAL, drop)


def letter(kind: EnvelopeKind, key: str, body: dict[str, Any], run: str = "") -> Envelope:
    return Envelope("default", "finder", key, f"test:{new_id()}", kind, body, run=run)


async def wake(bus: Bus, instance: str) -> None:
    wake = Wake(tenant="default", agent="finder", instance=instance)
    await bus.publish(bus.subjects.inbox("default", "finder"), dumps(wake))


@pytest.mark.usefixtures("dropping")
async def test_a_step_that_was_being_recorded_is_issued_by_the_next(
    exchange: Exchange, worker: Worker, hands: Hands
) -> None:
    run = new_id()
    drop = letter(EnvelopeKind.SIGNAL, "dropped", {"name": "drop"})
    request = letter(EnvelopeKind.REQUEST, "dropped", {"input": 5, "handler": "", "parent": None}, run)
    await accept(exchange.db, [drop, request])
    await wake(exchange.bus, drop.instance)
    item = await hands.item()
    assert (item.run, item.attempt) == (run, 2), "the next attempt of what nobody was given"
    await hands.answer(item, "found")
    assert (await exchange.until(run, "completed")).output == "found"


@pytest.mark.usefixtures("dropping")
async def test_a_step_that_is_out_is_not_issued_again(exchange: Exchange, worker: Worker, hands: Hands) -> None:
    run = await exchange.request("finder", "out", 5)
    item = await hands.item()
    await exchange.post("finder", "out", EnvelopeKind.SIGNAL, {"name": "drop"})

    async def anew() -> bool:
        async with exchange.db.connection() as connection:
            cursor = await connection.execute("select owner is not null and epoch > 1 from instances where key = 'out'")
            return bool((await cursor.fetchone())[0])

    await exchange.eventually(anew)
    await hands.answer(item, "found")
    assert (await exchange.until(run, "completed")).output == "found"
    assert hands.items.empty()
    assert "StepRetried" not in await exchange.entries(run)
