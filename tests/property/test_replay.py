"""Replaying any prefix of a journal gives the same steps and the same result as running live."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from property.programs import Node, body_of, programs
from trunkline.domain.codec import roundtrip
from trunkline.domain.journal import (
    DELIVERIES,
    CancelRequested,
    Entry,
    RunStarted,
    SignalReceived,
    StepCompleted,
    StepFailed,
    decode,
)
from trunkline.engine.fold import fold
from trunkline.engine.replay import RunDriver

STARTED = RunStarted("run", input=None, at=100.0, seed="seed", message_id="m")

moves = st.lists(
    st.tuples(st.sampled_from(["complete", "complete", "complete", "fail", "signal", "cancel"]), st.integers(0, 50)),
    max_size=25,
)


def live(program: Node, chosen: list[tuple[str, int]]) -> tuple[list[Entry], RunDriver]:
    """Run the program; after each block the next move decides what arrives."""
    driver = RunDriver(STARTED, body_of(program), agent="agent")
    driver.start()
    entries: list[Entry] = [STARTED, *driver.take_commands()]
    for turn, (move, number) in enumerate(chosen):
        entry = _delivery(driver, move, number, 101.0 + turn)
        if entry is not None and not driver.ended:
            assert driver.deliver(entry)
            entries += [entry, *driver.take_commands()]
    return entries, driver


def _delivery(driver: RunDriver, move: str, number: int, at: float) -> Entry | None:
    if move == "signal":
        return SignalReceived("run", name="abc"[number % 3], data=number, at=at, message_id=f"s{number}")
    if move == "cancel":
        return CancelRequested("run", reason="test", at=at) if number < 10 else None
    if not driver.open_steps:
        return None
    key = list(driver.open_steps)[number % len(driver.open_steps)]
    if move == "complete":
        return StepCompleted("run", key=key, value={"n": number}, at=at)
    return StepFailed("run", key=key, error={"type": "Broken", "message": str(number)}, at=at)


def stored(entry: Entry) -> Entry:
    """The entry as a reader of the journal gets it."""
    return decode("instance", entry.TYPE, entry.run, roundtrip(entry.body()))


@settings(max_examples=300, deadline=None)
@given(programs, moves)
def test_every_prefix_replays_to_the_same_journal(program: Node, chosen: list[tuple[str, int]]) -> None:
    entries, driver = live(program, chosen)
    kept = [stored(entry) for entry in entries]
    for cut in range(1, len(kept) + 1):
        assert resumed(program, kept[:cut], kept[cut:]) == kept
    driver.close()


def resumed(program: Node, prefix: list[Entry], rest: list[Entry]) -> list[Entry]:
    """Replay ``prefix`` and let the deliveries of ``rest`` arrive; the commands are the driver's own."""
    driver = RunDriver.replay(prefix, body_of(program), agent="agent")
    entries = [*prefix, *map(stored, driver.take_commands())]
    made = set(map(_identity, entries))
    for entry in rest:
        if isinstance(entry, DELIVERIES) and _identity(entry) not in made:
            assert driver.deliver(entry)
            commands = list(map(stored, driver.take_commands()))
            entries += [entry, *commands]
            made.update(map(_identity, commands))
    driver.close()
    return entries


def _identity(entry: Entry) -> Any:
    at = getattr(entry, "at", None) if isinstance(entry, SignalReceived | CancelRequested) else None
    return entry.TYPE, getattr(entry, "key", None), at


@settings(max_examples=200, deadline=None)
@given(programs, moves)
def test_the_fold_agrees_with_the_driver(program: Node, chosen: list[tuple[str, int]]) -> None:
    entries, driver = live(program, chosen)
    run = fold(entries).runs["run"]
    assert set(run.open_steps) == (set() if driver.ended else set(driver.open_steps))
    assert run.status.ended == driver.ended
    driver.close()


@settings(max_examples=100, deadline=None)
@given(programs, moves, st.integers(0, 100))
def test_folding_in_two_parts_is_folding_at_once(program: Node, chosen: list[tuple[str, int]], at: int) -> None:
    entries, driver = live(program, chosen)
    cut = at % (len(entries) + 1)
    assert fold(entries[cut:], fold(entries[:cut])) == fold(entries)
    driver.close()


@settings(max_examples=200, deadline=None)
@given(programs, moves)
def test_every_step_has_at_most_one_outcome_and_none_is_open_at_the_end(
    program: Node, chosen: list[tuple[str, int]]
) -> None:
    entries, driver = live(program, chosen)
    ended = [
        getattr(entry, "key", "") for entry in entries if entry.TYPE in ("StepCompleted", "StepFailed", "StepCancelled")
    ]
    scheduled = [getattr(entry, "key", "") for entry in entries if entry.TYPE == "StepScheduled"]
    assert len(set(ended)) == len(ended)
    assert len(set(scheduled)) == len(scheduled)
    assert set(ended) <= set(scheduled)
    if driver.ended:
        assert set(ended) == set(scheduled)
    driver.close()
