"""What happens as often happens together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.engine.rhythm import JUST_NOW, until_next

PERIODS = st.floats(0.01, 10.0)
TIMES = st.floats(0.0, 1e7)


@given(PERIODS, TIMES, TIMES)
def test_whoever_asks_in_one_period_comes_at_one_moment(period: float, now: float, later: float) -> None:
    left = until_next(period, now)
    assert 0 < left <= period * (1 + JUST_NOW)
    moment = now + left
    between = now + max(left - 2 * period * JUST_NOW, 0.0) * (later / 1e7)
    assert between + until_next(period, between) == pytest.approx(moment, abs=1e-6)


def test_a_timer_that_came_a_little_early_does_not_come_twice() -> None:
    assert until_next(0.3, 2.999) == pytest.approx(0.301)
    assert until_next(0.3, 3.001) == pytest.approx(0.299)
