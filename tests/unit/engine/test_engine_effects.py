"""The ledger of effects is held against the journals: each rule that a real effect can break is found broken."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.domain.effects import Begun
from trunkline.domain.ids import derived_id
from trunkline.domain.journal import Entry, RunStarted, StepCompleted, StepRetried, StepScheduled, StepStarted
from trunkline.engine.audit import Audit, Recorded
from trunkline.engine.effects import EffectsAudit

STEP = "tool:pay#1"
KEY = derived_id("step", "r", STEP)
AGAIN = StepRetried("r", key=STEP, attempt=2, reason="takeover")
DONE = StepCompleted("r", key=STEP, value=1, at=2.0)  # recorded at 100.0


def scheduled(effect: str) -> StepScheduled:
    return StepScheduled("r", key=STEP, kind="tool", name="pay", options={"effect": effect})


def permit(attempt: int = 1) -> StepStarted:
    return StepStarted("r", key=STEP, attempt=attempt, execution="e", worker="w", begin_by=3.0)


def audited(entries: list[Entry], begun: list[tuple[int, float]]) -> EffectsAudit:
    audit = Audit()
    entries = [RunStarted("r", input=1, at=1.0, seed="s", message_id="m"), *entries]
    audit.read("i", [Recorded(version, 1, entry, at=100.0) for version, entry in enumerate(entries, 1)])
    assert audit.violations == []
    return EffectsAudit(audit, [Begun(key=KEY, attempt=attempt, at=at) for attempt, at in begun])


def test_one_execution_a_step_is_sound() -> None:
    for entries in ([scheduled("pure"), DONE], [scheduled("unsafe"), permit(), DONE]):
        found = audited(entries, [(1, 99.0)])
        assert (found.violations, found.repeated) == ([], {"tool": 0})


def test_repeats_of_what_may_repeat_are_counted() -> None:
    found = audited([scheduled("idempotent"), AGAIN, DONE], [(1, 98.0), (1, 98.5), (2, 99.0)])
    assert (found.violations, found.repeated) == ([], {"tool": 2})


@pytest.mark.parametrize(
    ("entries", "begun", "says"),
    [
        ([scheduled("pure"), DONE], [(2, 99.0)], "attempt 2 was begun, and never issued"),
        ([scheduled("pure"), DONE], [(1, 99.0), (1, 101.0)], "began 1.00 s after its outcome was recorded"),
        ([scheduled("pure"), DONE], [], "nobody carried it out"),
        ([scheduled("unsafe"), permit(), DONE], [(1, 99.0), (1, 99.1)], "attempt 1 was begun 2 times"),
        ([scheduled("unsafe")], [(1, 99.0)], "attempt 1 had no permit"),
        ([scheduled("unsafe"), permit(), AGAIN], [(1, 99.0), (2, 99.5)], "attempt 2 had no permit"),
    ],
)
def test_a_broken_rule_is_named(entries: list[Any], begun: list[tuple[int, float]], says: str) -> None:
    (found,) = audited(entries, begun).violations
    assert says in found


def test_an_effect_that_no_journal_knows_is_found() -> None:
    found = EffectsAudit(Audit(), [Begun(key="k", attempt=1, at=1.0)])
    assert found.violations == ["the effect k has no step in any journal"]
