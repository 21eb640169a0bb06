"""Retries: how often, and how long in between."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trunkline.domain.specs import RetryPolicy
from trunkline.engine.retry import next_delay

policies = st.builds(
    RetryPolicy,
    retries=st.integers(0, 100),
    base=st.floats(0.001, 100, allow_nan=False),
    cap=st.floats(0.001, 1000, allow_nan=False),
)


@given(policies, st.integers(1, 200), st.text(max_size=20))
def test_delays_are_bounded_and_end(policy: RetryPolicy, attempt: int, seed: str) -> None:
    delay = next_delay(policy, attempt, seed)
    if attempt > policy.retries:
        assert delay is None
    else:
        assert delay is not None
        assert 0 <= delay <= min(policy.cap, policy.base * 2.0 ** (attempt - 1))
    assert next_delay(policy, attempt, seed) == delay


@given(st.text(max_size=20))
def test_the_longest_delay_grows_to_the_cap(seed: str) -> None:
    policy = RetryPolicy(retries=50, base=1.0, cap=8.0)
    most = [max(next_delay(policy, attempt, f"{seed}{n}") or 0.0 for n in range(200)) for attempt in (1, 2, 3, 4, 30)]
    for longest, ceiling in zip(most, [1.0, 2.0, 4.0, 8.0, 8.0], strict=True):
        assert 0.5 * ceiling < longest <= ceiling


def test_seeds_and_attempts_are_spread() -> None:
    policy = RetryPolicy(retries=5, base=1.0, cap=1.0)
    delays = {next_delay(policy, attempt, seed) for attempt in (1, 2, 3) for seed in ("a", "b", "c")}
    assert len(delays) == 9
