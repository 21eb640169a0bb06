"""Replaying any prefix of a journal, and going on from there, gives the same journal as running live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from property.living import Handler, Life, Move, Told, moves, stored
from property.programs import Node, body_of, programs
from trunkline.domain.errors import Diverged
from trunkline.domain.journal import Entry
from trunkline.engine.fold import fold
from trunkline.engine.replay import RunDriver


def resumed(program: Node, journal: Sequence[Told], cut: int) -> tuple[list[Entry], RunDriver]:
    """Replay the first ``cut`` entries, and let what came from outside in the rest come again."""
    prefix = [told.entry for told in journal[:cut]]
    handler = Handler(program, RunDriver.replay(prefix, body_of(program), agent="agent"))
    entries = [*prefix, *handler.take()]
    for told in journal[cut:]:
        if not told.command:
            assert handler.driver.deliver(told.entry)
            entries += [told.entry, *handler.take()]
    return entries, handler.driver


@settings(max_examples=300, deadline=None)
@given(programs, moves)
def test_every_prefix_replays_to_the_same_journal(program: Node, schedule: list[Move]) -> None:
    life = Life(program, schedule)
    for cut in range(1, len(life.journal) + 1):
        entries, driver = resumed(program, life.journal, cut)
        assert entries == life.entries
        assert view(driver) == view(life.driver)
        driver.close()
    life.driver.close()


def view(driver: RunDriver) -> Any:
    steps = {key: (stored(step.scheduled), step.attempt, step.started) for key, step in driver.open_steps.items()}
    payloads = {key: driver.payload(key) for key in steps}
    return driver.ended, driver.waiting, list(steps.items()), payloads, driver.leftover_signals(), driver.now


@settings(max_examples=200, deadline=None)
@given(programs, moves)
def test_the_fold_of_every_prefix_agrees_with_the_driver(program: Node, schedule: list[Move]) -> None:
    life = Life(program, schedule)
    for cut in range(1, len(life.journal) + 1):
        prefix = life.entries[:cut]
        handler = Handler(program, RunDriver.replay(prefix, body_of(program), agent="agent"))
        run = fold([*prefix, *handler.take()]).runs["run"]
        driver = handler.driver
        assert run.status.ended or run.life == driver.life
        assert run.status.ended == driver.ended
        folded = [(key, step.scheduled, step.attempt, step.started) for key, step in run.open_steps.items()]
        opened = [(key, step.scheduled, step.attempt, step.started) for key, step in driver.open_steps.items()]
        assert folded == opened
        driver.close()
    life.driver.close()


@settings(max_examples=100, deadline=None)
@given(programs, moves, st.integers(0, 100))
def test_folding_in_two_parts_is_folding_at_once(program: Node, schedule: list[Move], at: int) -> None:
    life = Life(program, schedule)
    entries = life.entries
    cut = at % (len(entries) + 1)
    first = fold(entries[:cut])
    assert fold(entries[cut:], first) == fold(entries)
    assert first == fold(entries[:cut]), "what was folded on stays as it was"
    life.driver.close()


@settings(max_examples=200, deadline=None)
@given(programs, moves)
def test_every_step_has_at_most_one_outcome_and_none_is_open_at_the_end(program: Node, schedule: list[Move]) -> None:
    life = Life(program, schedule)
    outcomes = [key for entry in life.entries for key in [getattr(entry, "key", "")] if entry.TYPE in OUTCOMES]
    scheduled = [getattr(entry, "key", "") for entry in life.entries if entry.TYPE == "StepScheduled"]
    assert len(set(outcomes)) == len(outcomes)
    assert len(set(scheduled)) == len(scheduled)
    assert set(scheduled) - set(outcomes) == set(life.driver.open_steps)
    if life.driver.ended:
        assert not life.driver.open_steps
        assert life.entries[-1].TYPE in ENDS
    assert sum(entry.TYPE in ENDS for entry in life.entries) == life.driver.ended
    life.driver.close()


@settings(max_examples=200, deadline=None)
@given(programs, moves, programs)
def test_other_code_does_the_same_or_is_told_apart(program: Node, schedule: list[Move], other: Node) -> None:
    life = Life(program, schedule)
    try:
        driver = RunDriver.replay(life.entries, body_of(other), agent="agent")
    except Diverged as error:
        assert program != other
        assert "the journal has" in str(error) or "step" in str(error)  # noqa: PT017
    else:
        asked = [entry for entry in driver.take_commands() if entry.TYPE == "StepScheduled"]
        known = {getattr(entry, "key", "") for entry in life.entries if entry.TYPE == "StepScheduled"}
        assert not known & {getattr(entry, "key", "") for entry in asked}
        driver.close()
    life.driver.close()


@settings(max_examples=100, deadline=None)
@given(programs, moves)
def test_leaving_memory_journals_nothing(program: Node, schedule: list[Move]) -> None:
    life = Life(program, schedule)
    life.driver.close()
    assert life.driver.take_commands() == []
    assert not life.driver.deliver(life.entries[0])


OUTCOMES = {"StepCompleted", "StepFailed", "StepCancelled"}
ENDS = {"RunCompleted", "RunFailed", "RunCancelled"}
