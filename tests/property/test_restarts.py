"""Restart intensity: never more restarts in a window than allowed, and no less while there is room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.domain.specs import RestartPolicy
from trunkline.domain.status import Restart
from trunkline.engine.restart import Again, Exhausted, restart

pauses = st.lists(st.floats(min_value=0.01, max_value=50.0), min_size=1, max_size=40)


@given(pauses=pauses, most=st.integers(0, 5), within=st.floats(min_value=0.5, max_value=100.0))
def test_no_window_holds_more_restarts_than_allowed(pauses: list[float], most: int, within: float) -> None:
    policy = RestartPolicy(restart=Restart.TRANSIENT, max_restarts=most, within=within)
    now, kept, made = 1000.0, (), list[float]()
    for pause in pauses:
        now += pause
        decision = restart(policy, failed=True, restarts=kept, now=now, seed="s")
        inside = [at for at in made if at > now - within]
        if isinstance(decision, Again):
            kept = decision.restarts
            made.append(now)
            assert len(inside) + 1 <= most
        else:
            assert decision == Exhausted(most, within)
            assert len(inside) == most
            return


@given(failures=st.integers(1, 30))
def test_delays_are_bounded_and_grow_only_with_failures_in_the_window(failures: int) -> None:
    policy = RestartPolicy(restart=Restart.PERMANENT, max_restarts=1000, within=1000.0, base=0.5, cap=8.0)
    kept: tuple[float, ...] = ()
    for nth in range(failures):
        decision = restart(policy, failed=True, restarts=kept, now=float(nth), seed="s")
        assert isinstance(decision, Again)
        assert 0 <= decision.delay <= min(8.0, 0.5 * 2**nth)
        kept = decision.restarts
    completed = restart(policy, failed=False, restarts=kept, now=float(failures), seed="s")
    assert isinstance(completed, Again)
    assert completed.delay <= 0.5


@pytest.mark.parametrize(
    ("kind", "failed", "again"),
    [
        (Restart.PERMANENT, True, True),
        (Restart.PERMANENT, False, True),
        (Restart.TRANSIENT, True, True),
        (Restart.TRANSIENT, False, False),
        (Restart.TEMPORARY, True, False),
        (Restart.TEMPORARY, False, False),
    ],
)
def test_which_ends_are_followed_by_a_restart(kind: Restart, failed: bool, again: bool) -> None:
    decision = restart(RestartPolicy(restart=kind), failed=failed, restarts=(), now=1.0, seed="s")
    assert isinstance(decision, Again) is again
