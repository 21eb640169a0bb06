"""Outcomes that gather share a message; each is sure of its own storing, and hears of its failure."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from trunkline.domain.codec import dumps, loads
from trunkline.domain.errors import Unavailable
from trunkline.domain.ids import new_id
from trunkline.domain.work import Outcome
from trunkline_workers import packing
from trunkline_workers.packing import Packing


class Bus:
    """Stores a message when ``store`` is told to, in order."""

    max_payload = 1024 * 1024

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, str]] = []
        self.answers: list[asyncio.Future[None]] = []
        self.arrived = asyncio.Condition()

    async def publish(self, subject: str, body: bytes, *, msg_id: str) -> None:
        answer = asyncio.get_running_loop().create_future()
        self.sent.append((subject, body, msg_id))
        self.answers.append(answer)
        async with self.arrived:
            self.arrived.notify_all()
        await answer

    async def sends(self, messages: int) -> None:
        async with self.arrived:
            await self.arrived.wait_for(lambda: len(self.sent) >= messages)

    def store(self, error: Exception | None = None) -> None:
        answer = self.answers.pop(0)
        answer.set_result(None) if error is None else answer.set_exception(error)


@pytest.fixture
async def bus() -> Bus:
    return Bus()


def _packing(bus: Bus) -> Packing:
    return Packing(cast("Any", bus))


def _numbers(body: bytes) -> list[int]:
    value = loads(body)
    return value if isinstance(value, list) else [value]


async def _sending(packing: Packing, *numbers: int, subject: str = "a") -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(packing.send(subject, dumps(number))) for number in numbers]
    await asyncio.sleep(0)
    return tasks


async def test_a_lone_one_goes_at_once_and_what_gathers_meanwhile_shares_the_next(bus: Bus) -> None:
    packing = _packing(bus)
    [first] = await _sending(packing, 1)
    await bus.sends(1)
    others = await _sending(packing, 2, 3, 4)
    [elsewhere] = await _sending(packing, 5, subject="b")
    await bus.sends(2)
    bus.store()
    await first
    await bus.sends(3)
    assert not any(task.done() for task in others)
    bus.store()
    bus.store()
    await asyncio.gather(elsewhere, *others)
    assert [(subject, _numbers(body)) for subject, body, _ in bus.sent] == [("a", [1]), ("b", [5]), ("a", [2, 3, 4])]
    assert len({msg_id for _, _, msg_id in bus.sent}) == 3
    assert not packing._lines


async def test_those_of_one_turn_of_the_loop_go_together_and_no_message_holds_too_many(bus: Bus) -> None:
    tasks = await _sending(_packing(bus), *range(150))
    await bus.sends(2)
    bus.store()
    bus.store()
    await bus.sends(3)
    bus.store()
    await asyncio.gather(*tasks)
    assert [len(_numbers(body)) for _, body, _ in bus.sent] == [packing.MOST, packing.MOST, 150 - 2 * packing.MOST]


async def test_a_message_of_several_is_no_longer_than_it_may_be(bus: Bus, monkeypatch: Any) -> None:
    monkeypatch.setattr(packing, "MOST_BYTES", 6)
    packing_ = _packing(bus)
    tasks = await _sending(packing_, 10**9, 11, 12, 13, 14)
    for messages in (1, 2, 3):
        await bus.sends(messages)
        bus.store()
    await asyncio.gather(*tasks)
    assert [_numbers(body) for _, body, _ in bus.sent] == [[10**9], [11, 12, 13], [14]]


async def test_all_of_a_message_that_is_not_stored_hear_of_it(bus: Bus) -> None:
    packing = _packing(bus)
    tasks = await _sending(packing, 1, 2)
    await bus.sends(1)
    tasks[0].cancel()
    bus.store(Unavailable(what="JetStream", reason="it is away"))
    with pytest.raises(Unavailable):
        await tasks[1]
    again = await _sending(packing, 2)
    await bus.sends(2)
    bus.store()
    await again[0]
    assert bus.sent[0][2] != bus.sent[1][2], "or the broker would take it for the first, which may hold less"


def test_a_message_of_several_is_read_as_such() -> None:
    one = Outcome(tenant="default", instance=new_id(), agent="a", run=new_id(), step="tool:x#1", attempt=1)
    other = one.model_copy(update={"step": "tool:x#2"})
    assert Outcome.read_all(dumps([one, other])) == [one, other]
    assert Outcome.read_all(dumps(one)) == [one]
