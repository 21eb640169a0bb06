"""However many requests wait for one instance, they begin in their order, and a few in one turn."""

from __future__ import annotations

import pytest

from integration.agents.conftest import Exchange, Worker
from trunkline.domain.ids import new_id
from trunkline.domain.journal import RunStarted
from trunkline.domain.mail import Envelope
from trunkline.domain.status import EnvelopeKind
from trunkline.store import pauses, runs
from trunkline.store.accept import accept
from trunkline_workers.agent import queue
from trunkline_workers.agent.activation import Activation
from trunkline_workers.agent.turn import Turn

MANY = 400  # one run's end within the other, the stack would hold no more than some 300
GO = {"name": "go", "data": "on"}


async def queued(exchange: Exchange, key: str) -> list[str]:
    """Many requests for an instance. Returns their runs."""
    body = {"input": False, "handler": "", "parent": None}
    ids = [new_id() for _ in range(MANY)]
    letters = [Envelope("default", "counter", key, f"q:{id_}", EnvelopeKind.REQUEST, body, run=id_) for id_ in ids]
    await accept(exchange.db, letters)
    return ids


async def outputs(exchange: Exchange, ids: list[str]) -> list[object]:
    return [(await runs.get(exchange.db, "default", id_)).output for id_ in ids]


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many runs began in each turn."""
    began: list[int] = []
    submit = Activation.submit

    def count(self: Activation, turn: Turn) -> None:
        began.append(sum(isinstance(entry, RunStarted) for entry in turn.entries))
        submit(self, turn)

    monkeypatch.setattr(Activation, "submit", count)
    return began


async def test_requests_that_do_not_wait_begin_one_after_the_other(
    exchange: Exchange, worker: Worker, turns: list[int]
) -> None:
    first = await exchange.request("counter", "many", True)
    await exchange.until(first, "waiting")
    ids = await queued(exchange, "many")
    await exchange.post("counter", "many", EnvelopeKind.SIGNAL, GO, run=first)
    await exchange.until(ids[-1], "completed", "parked", "failed")
    assert await outputs(exchange, ids) == list(range(2, MANY + 2))
    assert max(turns) == queue.SHARE


async def test_what_waited_for_a_paused_agent_begins_in_its_order(exchange: Exchange, turns: list[int]) -> None:
    async with Worker(exchange.settings):
        first = await exchange.request("counter", "paused", True)
        await exchange.until(first, "waiting")
    await pauses.pause(exchange.db, "default", "counter", "mending")
    async with Worker(exchange.settings):
        ids = await queued(exchange, "paused")
        await exchange.post("counter", "paused", EnvelopeKind.SIGNAL, GO, run=first)
        await exchange.until(first, "completed")
        assert (await runs.get(exchange.db, "default", ids[0])).status == "accepted"
        await pauses.resume(exchange.db, "default", "counter")
        await exchange.until(ids[-1], "completed", "parked", "failed")
        assert await outputs(exchange, ids) == list(range(2, MANY + 2))
    assert max(turns) == queue.SHARE
