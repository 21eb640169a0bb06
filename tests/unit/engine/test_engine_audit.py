"""The audit refuses every journal that breaks a rule, and passes those that do not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trunkline.domain.ids import child_run_id, instance_id
from trunkline.domain.journal import (
    Entry,
    RunCancelled,
    RunCompleted,
    RunContinued,
    RunStarted,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepRetried,
    StepScheduled,
    StepStarted,
)
from trunkline.engine.audit import Audit, Recorded

BEGUN = RunStarted("r", input=1, at=1.0, seed="s", message_id="m")
ASKED = StepScheduled("r", key="tool:a#1", kind="tool", name="a")
DONE = StepCompleted("r", key="tool:a#1", value=1, at=2.0)
ENDED = RunCompleted("r", output=1)
AGAIN = StepRetried("r", key="tool:a#1", attempt=2, reason="takeover")
PERMIT = StepStarted("r", key="tool:a#1", attempt=1, execution="e", worker="w", begin_by=3.0)


def violations(*entries: Entry, versions: list[int] | None = None, epochs: list[int] | None = None) -> list[str]:
    audit = Audit()
    audit.read(
        "i",
        [
            Recorded((versions or range(1, len(entries) + 1))[place], (epochs or [1] * len(entries))[place], entry)
            for place, entry in enumerate(entries)
        ],
    )
    return audit.violations


@pytest.mark.parametrize(
    "entries",
    [
        (BEGUN, ASKED, DONE, ENDED),
        (BEGUN, ASKED, AGAIN, DONE, ENDED),
        (BEGUN, ASKED, PERMIT, DONE, ENDED),
        (BEGUN, ASKED, StepCancelled("r", key="tool:a#1"), RunCancelled("r", reason="no")),
        (BEGUN, ASKED),
        (),
    ],
)
def test_a_sound_journal_passes(entries: tuple[Entry, ...]) -> None:
    assert violations(*entries) == []


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ((BEGUN, BEGUN), "begins a second time"),
        ((ASKED,), "which has not begun"),
        ((BEGUN, ENDED, ASKED), "after the end"),
        ((BEGUN, ENDED, ENDED), "after the end"),
        ((BEGUN, ASKED, ENDED), "open steps: tool:a#1"),
        ((BEGUN, ASKED, ASKED), "scheduled a second time"),
        ((BEGUN, ASKED, DONE, DONE), "which has its outcome"),
        ((BEGUN, ASKED, DONE, StepFailed("r", key="tool:a#1", error={}, at=3.0)), "which has its outcome"),
        ((BEGUN, DONE), "never scheduled"),
        ((BEGUN, ASKED, DONE, AGAIN), "which has its outcome"),
        ((BEGUN, ASKED, AGAIN, AGAIN), "goes to attempt 2 from 2"),
        ((BEGUN, ASKED, PERMIT, PERMIT), "a second permit"),
        ((BEGUN, ASKED, DONE, PERMIT), "which has its outcome"),
    ],
)
def test_a_broken_rule_is_named(entries: tuple[Entry, ...], says: str) -> None:
    (found,) = violations(*entries)[:1]
    assert says in found
    assert "instance i, version" in found


def test_a_gap_and_an_epoch_that_goes_back_are_found() -> None:
    assert "the version before is 1" in violations(BEGUN, ENDED, versions=[1, 3])[0]
    assert "epoch 1 comes after 2" in violations(BEGUN, ENDED, epochs=[2, 1])[0]


def test_two_writers_in_one_epoch_are_found() -> None:
    audit = Audit()
    audit.read("i", [Recorded(1, 1, BEGUN, writer=1), Recorded(2, 1, ENDED, writer=2)])
    assert "a second writer" in audit.violations[0]
    audit = Audit()
    audit.read("i", [Recorded(1, 1, BEGUN, writer=1), Recorded(2, 2, ENDED, writer=2)])
    assert audit.violations == []


def test_an_unsafe_effect_without_a_permit_is_found() -> None:
    unsafe = StepScheduled("r", key="tool:a#1", kind="tool", name="a", options={"effect": "unsafe"})
    assert "without a permit" in violations(BEGUN, unsafe, DONE)[0]
    assert violations(BEGUN, unsafe, PERMIT, DONE) == []


CHILD = child_run_id("r", "agent:b#1")
ASKS = StepScheduled("r", key="agent:b#1", kind="agent", name="b")
TOLD = StepCompleted("r", key="agent:b#1", value=7, at=2.0)


@pytest.mark.parametrize(
    ("child", "says"),
    [
        ([], "never began"),
        ([RunStarted(CHILD, input=1, at=1.0, seed="s", message_id="m")], "did not complete"),
        (
            [RunStarted(CHILD, input=1, at=1.0, seed="s", message_id="m"), RunCompleted(CHILD, output=8)],
            "something else",
        ),
        ([RunStarted(CHILD, input=1, at=1.0, seed="s", message_id="m"), RunCompleted(CHILD, output=7)], ""),
    ],
)
def test_a_reply_is_what_the_child_came_to(child: list[Entry], says: str) -> None:
    audit = Audit()
    audit.read("i", [Recorded(n, 1, entry) for n, entry in enumerate([BEGUN, ASKS, TOLD], 1)])
    audit.read("j", [Recorded(n, 1, entry) for n, entry in enumerate(child, 1)])
    audit.compare_replies()
    assert [says in found for found in audit.violations] == ([True] if says else [])


# --- journals whose beginning was removed ---------------------------------------------------------------------------


def shortened(*entries: Entry, removed: int, covered: int) -> Audit:
    audit = Audit()
    recorded = [Recorded(removed + n, 1, entry) for n, entry in enumerate(entries, 1)]
    audit.read("i", recorded, removed=removed, covered=covered)
    return audit


def test_a_run_whose_beginning_was_removed_passes_up_to_the_snapshot() -> None:
    audit = shortened(DONE, ENDED, removed=2, covered=4)
    assert audit.violations == []
    assert audit.runs["r"].status is not None
    assert audit.shortened == {"i"}


def test_behind_the_snapshot_and_without_one_every_run_is_whole() -> None:
    assert "which has not begun" in shortened(ENDED, removed=4, covered=4).violations[0]
    assert "which has not begun" in shortened(DONE, removed=0, covered=4).violations[0]


def test_a_run_that_begins_behind_what_was_removed_is_held_to_every_rule() -> None:
    assert "never scheduled" in shortened(BEGUN, DONE, removed=2, covered=9).violations[0]
    assert "after the end" in shortened(ENDED, ENDED, removed=2, covered=9).violations[0]


def test_what_is_missing_behind_what_was_removed_is_found() -> None:
    audit = Audit()
    audit.read("i", [Recorded(4, 1, BEGUN)], removed=2, covered=9)
    assert "the version before is 2" in audit.violations[0]


def test_the_answer_of_a_child_whose_journal_was_removed_passes() -> None:
    asks = StepScheduled("r", key="agent:b#1", kind="agent", name="b", options={"agent": "b", "key": "k"})
    audit = Audit("acme")
    audit.read("i", [Recorded(n, 1, entry) for n, entry in enumerate([BEGUN, asks, TOLD], 1)])
    audit.read(instance_id("acme", "b", "other"), [], removed=3, covered=3)
    audit.compare_replies()
    assert "never began" in audit.violations.pop()
    audit.read(instance_id("acme", "b", "k"), [], removed=3, covered=3)
    audit.compare_replies()
    assert audit.violations == []


ANEW = RunContinued("r", input=2, at=3.0, number=2)


def test_an_incarnation_begins_once_and_with_nothing_open() -> None:
    assert violations(BEGUN, ASKED, DONE, ANEW, ENDED) == []
    assert "began anew with open steps: tool:a#1" in violations(BEGUN, ASKED, ANEW)[0]
    assert "goes to incarnation 2 from 2" in violations(BEGUN, ANEW, ANEW)[0]
    assert "is scheduled a second time" in violations(BEGUN, ASKED, DONE, ANEW, ASKED)[0]


def test_of_a_run_that_a_snapshot_holds_the_beginning_may_be_gone() -> None:
    rest = [Recorded(4, 1, replace(ASKED, key="@2/tool:a#1")), Recorded(5, 1, replace(ANEW, number=3))]
    held, unknown = Audit(), Audit()
    held.read("i", rest[:1], removed=3, covered=3, held="r")
    unknown.read("i", rest[:1], removed=3, covered=3)
    assert held.violations == []
    assert "has not begun" in unknown.violations[0]
