"""Which timers the supervisor is told of."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from trunkline.bus.subjects import Subjects
from trunkline.domain.work import AlarmSet
from trunkline.settings import Settings
from trunkline_workers.agent import dispatch
from trunkline_workers.agent.dispatch import Dispatch
from trunkline_workers.agent.timing import set_timer
from trunkline_workers.agent.turn import Turn


class Words:
    """A bus that keeps what is said of alarms."""

    subjects = Subjects("tl")

    def __init__(self) -> None:
        self.said: list[float] = []

    def send(self, subject: str, body: bytes) -> None:
        assert subject == "tl.alarm"
        self.said.append(AlarmSet.read(body).seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(dispatch.time, "monotonic", lambda: clock.now)
    return clock


def test_only_the_first_of_those_to_come_is_told(clock: SimpleNamespace) -> None:
    words = Words()
    told = Dispatch(cast("Any", words), cast("Any", None), Settings(), "w")
    for delay in (0.5, 0.6, 0.3, 0.4):
        told.alarm(delay)
    assert words.said == [0.5, 0.3]
    clock.now += 0.3  # from now on the supervisor looks: what is set now it may miss
    told.alarm(0.6)
    assert words.said == [0.5, 0.3, 0.6]


def test_what_the_next_look_finds_in_time_is_not_told() -> None:
    told: list[float] = []
    office = SimpleNamespace(settings=Settings(alarm_every=1.0), dispatch=SimpleNamespace(alarm=told.append))
    turn = Turn()
    for delay in (0.9, 1.0, 3600.0):
        set_timer(cast("Any", SimpleNamespace(office=office)), turn, "r", "sleep:#1", delay)
    assert [timer.delay for timer in turn.more.timers] == [0.9, 1.0, 3600.0]
    assert told == [], "before the commit nobody is told"
    assert turn.follow_up() is None
    assert told == [0.9]
