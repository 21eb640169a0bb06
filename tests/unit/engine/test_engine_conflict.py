"""When a late outcome contradicts what was recorded without it, and when it only confirms it."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.domain.journal import Entry, StepCancelled, StepCompleted, StepFailed, StepRetried
from trunkline.domain.work import Outcome
from trunkline.engine.conflict import contradiction

REFUSED = {"type": "Refused", "message": "no", "retryable": False}
COMPLETED = StepCompleted("r", key="s", value="paid", at=1.0, worker="ann")
FAILED = StepFailed("r", key="s", error=REFUSED, at=1.0, worker="ann")
AGAIN = StepRetried("r", key="s", attempt=2, reason="resolved")
CALLED_OFF = StepCancelled("r", key="s")


def outcome(value: Any = None, error: dict[str, Any] | None = None) -> Outcome:
    return Outcome(tenant="t", instance="i", agent="a", run="r", step="s", attempt=1, value=value, error=error)


@pytest.mark.parametrize(
    ("late", "recorded", "says"),
    [
        (outcome("paid"), COMPLETED, ""),
        (outcome("paid in full"), COMPLETED, "another result is recorded, by ann"),
        (outcome(error=REFUSED), COMPLETED, "it is recorded as completed, by ann"),
        (outcome("paid"), FAILED, "it is recorded as failed, by ann"),
        (outcome(error=REFUSED), FAILED, ""),
        (outcome("paid"), AGAIN, "it was tried again (resolved)"),
        (outcome(error=REFUSED), AGAIN, ""),
        (outcome("paid"), CALLED_OFF, "it was called off"),
        (outcome(error=REFUSED), CALLED_OFF, ""),
        (outcome("paid"), None, ""),
    ],
)
def test_only_what_says_something_else_is_a_conflict(late: Outcome, recorded: Entry | None, says: str) -> None:
    assert contradiction(late, recorded) == says
