"""What is struck and when: bounded, in turns, and the same for the same seed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.chaos.plan import Action, Part, Strike, plan

AGENTS, TOOLS = Strike(Action.KILL, Part.AGENTS), Strike(Action.PAUSE, Part.TOOLS)


def test_strikes_come_in_turns() -> None:
    slots = plan([AGENTS, TOOLS], times=2, runs=10, seed=0)
    assert [str(slot.strike) for slot in slots] == ["kill agents", "pause tools"] * 2
    assert [len(slot.runs) for slot in slots] == [2, 3, 2, 3]


@given(times=st.integers(1, 50), runs=st.integers(100, 10_000), seed=st.integers(0))
def test_every_run_is_started_once_and_every_moment_is_inside_its_slot(times: int, runs: int, seed: int) -> None:
    slots = plan([AGENTS, TOOLS], times=times, runs=runs, seed=seed)
    assert [number for slot in slots for number in slot.runs] == list(range(1, runs + 1))
    assert all(slot.runs and 0 < slot.moment < 1 for slot in slots)
    assert len(slots) == 2 * times


@pytest.mark.parametrize(("other", "same"), [(7, True), (8, False)])
def test_a_seed_decides_the_moments(other: int, same: bool) -> None:
    assert (plan([AGENTS], times=5, runs=50, seed=7) == plan([AGENTS], times=5, runs=50, seed=other)) is same
