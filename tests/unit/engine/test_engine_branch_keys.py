"""Keys of steps: runs of one agent share them, and no number of names makes them stay."""

from __future__ import annotations

from typing import Any

from trunkline.engine.branch import MOST_SHARED, Branch, once


def branch() -> Branch:
    nothing: Any = None
    return Branch(nothing, "map#1[0]/", nothing)


def test_branches_that_ask_for_the_same_hold_one_text() -> None:
    assert branch().next_key("tool:pay") is branch().next_key("tool:pay")


def test_occurrences_are_counted_by_what_was_asked_for() -> None:
    one = branch()
    keys = [one.next_key(base) for base in ("tool:pay", "tool:pay", "step:look", "tool:pay")]
    assert keys == [f"map#1[0]/{end}" for end in ("tool:pay#1", "tool:pay#2", "step:look#1", "tool:pay#3")]


def test_texts_that_nobody_holds_are_forgotten() -> None:
    one = branch()
    for number in range(MOST_SHARED + 1000):
        one.next_key(f"step:{number}")
    assert once.cache_info().currsize <= MOST_SHARED
