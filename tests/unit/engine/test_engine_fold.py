"""What a journal comes to: state, conversation, runs, and the open steps of those that have not ended."""

from __future__ import annotations

from typing import Any

from trunkline.domain.journal import (
    Entry,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunParked,
    RunResumed,
    RunStarted,
    SignalReceived,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepRetried,
    StepScheduled,
    StepStarted,
)
from trunkline.domain.status import RunStatus
from trunkline.engine.fold import InstanceState, fold, fold_on


def started(run: str) -> RunStarted:
    return RunStarted(run, input=None, at=1.0, seed="s", message_id=run)


def asked(run: str, key: str) -> StepScheduled:
    return StepScheduled(run, key=key, kind="tool", name=key)


def said(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def test_nothing_comes_to_nothing() -> None:
    assert fold([]) == InstanceState(state=None, conversation=[], runs={})


def test_state_and_conversation_change_with_completed_runs_only() -> None:
    journal: list[Entry] = [
        started("a"), RunCompleted("a", output=1, state={"n": 1}, conversation=said("a")),
        started("b"), RunFailed("b", error={"type": "X"}),
        started("c"), RunCompleted("c", output=1, conversation=said("c")),
        started("d"), RunCancelled("d", reason="no"),
    ]  # fmt: skip
    folded = fold(journal)
    assert folded.state == {"n": 1}
    assert folded.conversation == said("a") + said("c")
    assert [run.status for run in folded.runs.values()] == [
        RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.COMPLETED, RunStatus.CANCELLED,
    ]  # fmt: skip
    assert folded.open_runs == []


def test_a_run_knows_the_instance_as_of_its_start() -> None:
    folded = fold([
        started("a"), RunCompleted("a", output=1, state={"n": 1}, conversation=said("a")),
        started("b"), started("handler"),
        RunCompleted("handler", output=None, state={"n": 2}, conversation=said("h")),
    ])  # fmt: skip
    assert (folded.state, folded.conversation) == ({"n": 2}, said("a") + said("h"))
    (run,) = folded.open_runs
    assert (run.started.run, run.state, folded.heard_by(run)) == ("b", {"n": 1}, said("a"))


def test_open_steps_keep_attempt_and_permit() -> None:
    permit = StepStarted("a", key="x", attempt=2, execution="e", worker="w", begin_by=1.0)
    folded = fold([
        started("a"), asked("a", "w"), asked("a", "x"), asked("a", "y"), asked("a", "z"),
        StepRetried("a", key="x", attempt=2, reason="failed"), permit,
        StepStarted("a", key="w", attempt=1, execution="e", worker="w", begin_by=1.0),
        StepRetried("a", key="w", attempt=2, reason="failed"),
        StepCompleted("a", key="y", value=1, at=2.0), StepCancelled("a", key="z"),
        StepFailed("a", key="y", error={}, at=3.0), StepRetried("a", key="y", attempt=9, reason="late"),
        StepStarted("a", key="z", attempt=1, execution="e", worker="w", begin_by=1.0),
    ])  # fmt: skip
    steps = folded.runs["a"].open_steps
    assert {key: (step.attempt, step.started) for key, step in steps.items()} == {"w": (2, None), "x": (2, permit)}


def test_parking_and_resuming() -> None:
    journal: list[Entry] = [started("a"), RunParked("a", reason="diverged", detail="…")]
    parked = fold(journal)
    assert (parked.runs["a"].status, parked.runs["a"].parked) == (RunStatus.PARKED, "diverged")
    assert parked.open_runs == [parked.runs["a"]]
    resumed = fold([RunResumed("a", by="x", at=2.0)], parked)
    assert (resumed.runs["a"].status, resumed.runs["a"].parked) == (RunStatus.RUNNING, "")
    assert fold([RunCancelled("a", reason="by hand")], parked).open_runs == []


def test_an_open_run_keeps_its_entries_and_an_ended_one_does_not() -> None:
    journal: list[Entry] = [
        started("a"), started("b"), asked("a", "x"), SignalReceived("b", name="s", data=1, at=1.0, message_id="m"),
    ]  # fmt: skip
    folded = fold(journal)
    assert (folded.runs["a"].started, folded.runs["a"].entries) == (journal[0], [journal[2]])
    assert (folded.runs["b"].started, folded.runs["b"].entries) == (journal[1], [journal[3]])
    ended = fold([RunCompleted("a", output=1), StepCompleted("a", key="x", value=1, at=2.0)], folded)
    assert (ended.runs["a"].entries, ended.runs["a"].open_steps) == ([], {})
    assert folded.runs["a"].entries == [journal[2]], "what was folded on stays as it was"
    assert "x" in folded.runs["a"].open_steps


def test_entries_of_runs_that_began_before_are_passed_over() -> None:
    assert fold([StepCompleted("unknown", key="x", value=1, at=1.0), RunFailed("unknown", error={})]).runs == {}


class Unread(list[Any]):
    """Fails when it is looked through."""

    def __iter__(self) -> Any:
        raise AssertionError("the whole conversation is looked through")


def test_what_a_run_costs_does_not_follow_from_how_much_was_said_before() -> None:
    state = InstanceState(conversation=Unread(said("before") * 100))
    fold_on(state, [started("a"), RunCompleted("a", output=1, conversation=said("a")), started("b")])
    assert len(state.conversation) == 101
    assert state.runs["b"].heard == 101
