"""A tool's rate, on a clock of the test's own."""

from __future__ import annotations

import pytest

from trunkline_workers.tool.limiter import SLACK, Rate


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_turns_are_spread_evenly(clock: Clock) -> None:
    rate = Rate(2.0, clock)
    assert [rate.reserve() for _ in range(4)] == pytest.approx([0.0, 0.5, 1.0, 1.5])


def test_a_long_pause_is_not_saved_up(clock: Clock) -> None:
    rate = Rate(2.0, clock)
    rate.reserve()
    clock.now += 3600
    assert rate.reserve() == 0.0
    assert rate.reserve() == pytest.approx(0.5 - SLACK)


def test_a_high_rate_makes_up_for_a_late_loop(clock: Clock) -> None:
    rate = Rate(1000.0, clock)
    clock.now += 0.05
    assert sum(rate.reserve() == 0.0 for _ in range(200)) == pytest.approx(51, abs=1)


async def test_it_is_entered_without_waiting_when_it_is_ones_turn(clock: Clock) -> None:
    rate = Rate(0.001, clock)
    async with rate:
        assert rate.reserve() > 900
