"""Whose heartbeats an agent worker listens to: nobody's, until it let somebody begin something."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from trunkline.bus.connection import CoreMessage
from trunkline.bus.subjects import Subjects
from trunkline.domain.errors import Unavailable
from trunkline_workers.agent import hearing
from trunkline_workers.agent.hearing import Hearing

LEASE = 1.0


class Wire:
    """A bus on which workers beat."""

    def __init__(self) -> None:
        self.subjects = Subjects("tl")
        self.listening: list[Callable[[CoreMessage], Awaitable[None]]] = []
        self.closed = False

    async def subscribe(self, subject: str, handler: Callable[[CoreMessage], Awaitable[None]]) -> Subscribed:
        if self.closed:
            raise Unavailable(what=subject, reason="closed")
        assert subject == "tl.heartbeat.*"
        self.listening.append(handler)
        return Subscribed(self, handler)

    async def beat(self, worker: str) -> None:
        for hear in self.listening:
            await hear(CoreMessage(self.subjects.heartbeat(worker), b"{}"))


class Subscribed:
    def __init__(self, wire: Wire, handler: Any) -> None:
        self._wire, self._handler = wire, handler

    async def unsubscribe(self) -> None:
        self._wire.listening.remove(self._handler)


class Listener:
    def __init__(self) -> None:
        self.now, self.wire = 100.0, Wire()
        self.hearing = Hearing(cast("Any", self.wire), LEASE, clock=lambda: self.now)


async def test_whoever_was_let_begin_is_alive_until_it_was_silent_for_a_lease() -> None:
    one = Listener()
    assert one.hearing.silent("w")
    assert not one.wire.listening
    await one.hearing.attend("w")
    assert not one.hearing.silent("w"), "it has just asked"
    for _ in range(10):
        one.now += LEASE * 0.9
        await one.wire.beat("w")
        assert not one.hearing.silent("w")
    one.now += LEASE
    assert one.hearing.silent("w")


async def test_one_subscription_serves_for_all_and_strangers_are_not_kept() -> None:
    one = Listener()
    await one.hearing.attend("a")
    await one.hearing.attend("b")
    assert len(one.wire.listening) == 1
    await one.wire.beat("stranger")
    assert one.hearing.silent("stranger")


async def test_when_nothing_is_held_any_more_it_listens_to_nobody_until_it_lets_somebody_begin() -> None:
    one = Listener()
    await one.hearing.attend("w")
    await one.hearing.forget()
    await one.hearing.forget()
    assert not one.wire.listening
    assert one.hearing.silent("w")
    await one.hearing.attend("w")
    await one.wire.beat("w")
    assert len(one.wire.listening) == 1
    assert not one.hearing.silent("w")


async def test_of_too_many_only_those_alive_are_kept_in_mind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearing, "MOST", 3)
    one = Listener()
    for worker in "abc":
        await one.hearing.attend(worker)
    one.now += LEASE
    await one.hearing.attend("d")
    assert len(one.hearing._heard) == 1
    assert not one.hearing.silent("d")


async def test_a_bus_that_is_closed_is_no_error() -> None:
    one = Listener()
    one.wire.closed = True
    await one.hearing.attend("w")
    assert not one.hearing.silent("w")
