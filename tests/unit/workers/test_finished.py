"""The memory of what a worker finished: it finds, and is bounded by number and by bytes."""

from __future__ import annotations

from trunkline_workers.finished import Finished


def test_what_was_finished_is_found() -> None:
    finished = Finished()
    finished.remember(("run", "step", 1), b"told")
    assert finished.find(("run", "step", 1)) == b"told"
    assert finished.find(("run", "step", 2)) is None
    assert finished.find(("run", "other", 1)) is None


def test_the_oldest_are_forgotten_beyond_the_number() -> None:
    finished = Finished(most=2)
    for number in range(3):
        finished.remember(("run", "step", number), b"told")
    assert [finished.find(("run", "step", number)) for number in range(3)] == [None, b"told", b"told"]


def test_the_oldest_are_forgotten_beyond_the_bytes() -> None:
    finished = Finished(most_bytes=10)
    for number in (1, 1, 1, 2):  # what is told again is counted once
        finished.remember(("run", "step", number), b"12345")
    assert finished.find(("run", "step", 1)) == b"12345"
    finished.remember(("run", "step", 3), b"1")
    assert finished.find(("run", "step", 1)) is None
    assert finished.find(("run", "step", 2)) == b"12345"


def test_a_body_beyond_the_bytes_is_not_kept() -> None:
    finished = Finished(most_bytes=4)
    finished.remember(("run", "step", 1), b"12345")
    assert finished.find(("run", "step", 1)) is None
    finished.remember(("run", "step", 2), b"1234")
    assert finished.find(("run", "step", 2)) == b"1234"
