"""The audit refuses every journal that breaks a rule, and passes those that do not."""

from __future__ import annotations

import pytest

from trunkline.domain.journal import (
    Entry,
    RunCancelled,
    RunCompleted,
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
        ((BEGUN, ASKED, DONE, DONE), "a second outcome"),
        ((BEGUN, ASKED, DONE, StepFailed("r", key="tool:a#1", error={}, at=3.0)), "a second outcome"),
        ((BEGUN, DONE), "without having been scheduled"),
        ((BEGUN, ASKED, DONE, AGAIN), "goes to attempt 2 from None"),
        ((BEGUN, ASKED, AGAIN, AGAIN), "goes to attempt 2 from 2"),
        ((BEGUN, ASKED, PERMIT, PERMIT), "a second permit"),
        ((BEGUN, ASKED, DONE, PERMIT), "not open"),
    ],
)
def test_a_broken_rule_is_named(entries: tuple[Entry, ...], says: str) -> None:
    (found,) = violations(*entries)[:1]
    assert says in found
    assert "instance i, version" in found


def test_a_gap_and_an_epoch_that_goes_back_are_found() -> None:
    assert "the version before is 1" in violations(BEGUN, ENDED, versions=[1, 3])[0]
    assert "epoch 1 comes after 2" in violations(BEGUN, ENDED, epochs=[2, 1])[0]
