"""Deliveries in batches, and what becomes of them when the work cannot be done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from trunkline.bus.gathering import Gathering
from trunkline.domain.errors import Unavailable


class Letter:
    """A delivery that notes what was said about it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.said: list[str] = []
        self.alive, self.settled = asyncio.Event(), asyncio.Event()

    def ack(self) -> None:
        self.said.append("ack")
        self.settled.set()

    def nak(self, delay: float = 0.0) -> None:
        if not self.said:
            self.said.append("nak")

    def in_progress(self) -> None:
        self.alive.set()


class Desk:
    """Whoever does the work: acknowledges, unless told to fail or to wait."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.errors: list[Exception] = []
        self.open = asyncio.Event()
        self.open.set()
        self.begun, self.done = asyncio.Event(), asyncio.Event()

    async def work(self, batch: Sequence[Any]) -> None:
        self.batches.append([letter.number for letter in batch])
        self.begun.set()
        await self.open.wait()
        if self.errors:
            raise self.errors.pop(0)
        for letter in batch:
            letter.ack()
        self.done.set()


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
async def gathering(desk: Desk) -> AsyncIterator[Gathering]:
    made = Gathering("test", desk.work, most=3, ack_wait=0.3)
    made.start()
    yield made
    await made.stop()


async def within(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), 10)


async def test_what_arrives_meanwhile_is_the_next_batch_and_batches_are_bounded(
    desk: Desk, gathering: Gathering
) -> None:
    desk.open.clear()
    letters = [Letter(number) for number in range(6)]
    gathering.put(letters[0])
    await within(desk.begun)
    for letter in letters[1:]:
        gathering.put(letter)
    desk.open.set()
    await asyncio.wait_for(letters[5].settled.wait(), 10)
    assert desk.batches == [[0], [1, 2, 3], [4, 5]]
    assert all(letter.said == ["ack"] for letter in letters)


async def test_a_batch_is_kept_and_tried_again_while_something_is_away(desk: Desk, gathering: Gathering) -> None:
    desk.errors = [Unavailable(what="Postgres", reason="away"), Unavailable(what="Postgres", reason="away")]
    letter = Letter(1)
    gathering.put(letter)
    await within(desk.done)
    assert desk.batches == [[1], [1], [1]]
    assert letter.said == ["ack"]


async def test_all_that_is_held_is_kept_alive(desk: Desk, gathering: Gathering) -> None:
    desk.open.clear()
    letters = [Letter(number) for number in range(5)]
    for letter in letters:
        gathering.put(letter)
    for letter in letters:
        await within(letter.alive)
    desk.open.set()


async def test_any_other_error_hands_the_batch_back_and_the_next_goes_on(desk: Desk, gathering: Gathering) -> None:
    desk.errors = [ValueError("no")]
    first, second = Letter(1), Letter(2)
    gathering.put(first)
    await within(desk.begun)
    gathering.put(second)
    await within(desk.done)
    assert (first.said, second.said) == (["nak"], ["ack"])


async def test_stopping_hands_back_what_was_not_done(desk: Desk) -> None:
    gathering = Gathering("test", desk.work, most=1, ack_wait=0.3)
    gathering.start()
    desk.open.clear()
    first, second = Letter(1), Letter(2)
    gathering.put(first)
    await within(desk.begun)
    gathering.put(second)
    await gathering.stop()
    assert (first.said, second.said) == (["nak"], ["nak"])


async def test_stopping_lets_the_batch_at_hand_end(desk: Desk) -> None:
    gathering = Gathering("test", desk.work, most=1, ack_wait=30.0)
    gathering.start()
    desk.open.clear()
    first, second = Letter(1), Letter(2)
    gathering.put(first)
    await within(desk.begun)
    gathering.put(second)
    stopping = asyncio.create_task(gathering.stop())
    desk.open.set()
    await asyncio.wait_for(stopping, 10)
    assert (first.said, second.said) == (["ack"], ["nak"])
