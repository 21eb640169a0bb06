"""A process that was away doubts what it received before and right after; one that was not doubts nothing."""

from __future__ import annotations

import pytest

from trunkline_workers.absence import Absence


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_regular_ticks_are_no_absence() -> None:
    clock = Clock()
    absence = Absence(3.0, clock=clock)
    clock.now += 1.9
    assert not absence.casts_doubt_on(clock.now)
    for _ in range(5):
        absence.tick()
        clock.now += 1.9
        assert not absence.casts_doubt_on(clock.now)


def test_an_absence_before_the_first_tick_counts() -> None:
    clock = Clock()
    absence = Absence(3.0, clock=clock)
    clock.now += 10
    assert absence.casts_doubt_on(clock.now)


@pytest.mark.parametrize("first", ["tick", "look"])
@pytest.mark.parametrize(
    ("received", "doubtful"),
    [(-9.0, True), (0.0, True), (2.9, True), (3.1, False)],
    ids=["before", "at", "right after", "later"],
)
def test_after_an_absence_what_was_on_the_way_is_doubtful(first: str, received: float, doubtful: bool) -> None:
    clock = Clock()
    absence = Absence(3.0, clock=clock)
    absence.tick()
    clock.now += 10
    back = clock.now
    if first == "tick":
        absence.tick()
    else:
        absence.casts_doubt_on(clock.now)
        absence.tick()
    for _ in range(4):
        clock.now += 1
        absence.tick()
    assert absence.casts_doubt_on(back + received) is doubtful


def test_an_absence_is_told_to_whoever_was_there_before_it() -> None:
    clock = Clock()
    absence = Absence(3.0, clock=clock)
    clock.now += 1
    assert not absence.since(clock.now)
    let_at = clock.now
    clock.now += 10
    assert absence.since(let_at)
    absence.tick()
    clock.now += 1
    assert absence.since(let_at)
    assert not absence.since(clock.now)
