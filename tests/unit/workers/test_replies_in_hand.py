"""Outcomes in an agent worker's hands: kept alive until they are recorded, and handed back when they cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from trunkline.domain.codec import dumps
from trunkline.domain.ids import new_id
from trunkline.domain.work import Outcome
from trunkline_workers.agent.replies import Replies

OUTCOME = Outcome(tenant="default", instance=new_id(), agent="a", run=new_id(), step="tool:x#1", attempt=1)


class Message:
    """A delivery that notes what is said of it."""

    settled = False

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.said: asyncio.Queue[str] = asyncio.Queue()

    def ack(self) -> None:
        self.settled = True
        self.said.put_nowait("ack")

    def nak(self) -> None:
        self.settled = True
        self.said.put_nowait("nak")

    def in_progress(self) -> None:
        self.said.put_nowait("in progress")


class Holder:
    """An activation that records when it is told to, and the registry that finds it."""

    closed = False

    def __init__(self) -> None:
        self.to_record: list[Callable[[], None]] = []

    def find(self, _: str) -> Holder:
        return self

    def outcome(self, _: Outcome, done: Callable[[], None]) -> bool:
        self.to_record.append(done)
        return True


async def _held(data: bytes = dumps(OUTCOME)) -> tuple[Holder, Message, asyncio.Task[Any]]:
    holder, message = Holder(), Message(data)
    replies = Replies(cast("Any", None), cast("Any", holder), cast("Any", None), ack_wait=0.01)
    keeping = asyncio.create_task(replies.keep())
    assert replies.on_delivery(cast("Any", message)) is None
    return holder, message, keeping


async def test_it_is_in_progress_until_it_is_recorded() -> None:
    holder, message, keeping = await _held()
    assert [await message.said.get(), await message.said.get()] == ["in progress"] * 2
    holder.to_record[0]()
    while (said := await message.said.get()) == "in progress":
        pass
    assert said == "ack"
    keeping.cancel()


async def test_it_is_handed_back_when_its_activation_was_dropped() -> None:
    holder, message, keeping = await _held()
    holder.closed = True
    while (said := await message.said.get()) == "in progress":
        pass
    assert said == "nak", "or it would keep a place in this worker's hands for ever"
    keeping.cancel()


async def test_a_message_of_several_is_acknowledged_when_the_last_is_recorded() -> None:
    holder, message, keeping = await _held(dumps([OUTCOME, OUTCOME]))
    [first, second] = holder.to_record
    first()
    while (said := await message.said.get()) != "in progress":
        assert said != "ack"
    second()
    while (said := await message.said.get()) == "in progress":
        pass
    assert said == "ack"
    keeping.cancel()


async def test_one_whose_activation_was_dropped_has_them_all_handed_back() -> None:
    holder, message, keeping = await _held(dumps([OUTCOME, OUTCOME]))
    holder.to_record[1]()
    holder.closed = True
    while (said := await message.said.get()) == "in progress":
        pass
    assert said == "nak"
    keeping.cancel()
