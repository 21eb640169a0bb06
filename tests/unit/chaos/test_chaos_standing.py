"""Which runs are lost: those that are at work when the time is up, and not those that wait for the world."""

from __future__ import annotations

import pytest

from trunkline.chaos.standing import Open, Standing, judge
from trunkline.domain.status import RunStatus

ACCEPTED, RUNNING, WAITING, PARKED = RunStatus.ACCEPTED, RunStatus.RUNNING, RunStatus.WAITING, RunStatus.PARKED


@pytest.mark.parametrize(
    ("runs", "stands"),
    [
        ([Open("a", "", ACCEPTED)], "at work"),
        ([Open("a", "", RUNNING)], "at work"),
        ([Open("a", "", RUNNING, busy=True), Open("b", "a", WAITING)], "at work"),
        ([Open("a", "", WAITING)], "waiting"),
        ([Open("a", "", WAITING, owed=True)], "at work"),
        ([Open("a", "", PARKED, owed=True)], "parked"),
        ([Open("a", "", RUNNING), Open("b", "a", WAITING)], "waiting"),
        ([Open("a", "", RUNNING), Open("b", "a", PARKED), Open("c", "a", WAITING)], "parked"),
        ([Open("a", "", RUNNING), Open("b", "a", PARKED), Open("c", "a", RUNNING)], "at work"),
        ([Open("a", "", RUNNING), Open("b", "a", RUNNING), Open("c", "b", WAITING)], "waiting"),
        ([Open("a", "", ACCEPTED, behind="b"), Open("b", "x", WAITING)], "waiting"),
        ([Open("a", "", ACCEPTED, behind="gone")], "at work"),
        (
            [Open("a", "", ACCEPTED, behind="b"), Open("b", "x", RUNNING), Open("c", "b", ACCEPTED, behind="b")],
            "at work",
        ),
    ],
)
def test_a_run_stands_as_the_worst_of_what_it_asked_for(runs: list[Open], stands: str) -> None:
    assert judge(runs)["a"] == Standing(stands)


def test_only_runs_that_nobody_open_asked_for_are_judged() -> None:
    assert judge([Open("a", "ended", RUNNING), Open("b", "a", WAITING)]) == {"a": Standing.WAITING}
