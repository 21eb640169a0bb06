"""Fair turns, whatever comes in whichever order: nothing is lost, and nobody waits for a flood."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from trunkline.engine.fairness import FairQueue

SHARE = 3
LANES = st.sampled_from("abcdef")
MOVES = st.lists(st.one_of(LANES, st.integers(1, 12)), max_size=60)  # put into a lane, or take so many


@given(MOVES, st.sets(st.integers(0, 59)))
def test_it_gives_back_what_was_put_in_each_lane_in_order(moves: list[str | int], shy: set[int]) -> None:
    """``shy`` items are not admitted the first time."""
    queue: FairQueue[tuple[str, int]] = FairQueue(SHARE)
    put: dict[str, list[int]] = defaultdict(list)
    got: dict[str, list[int]] = defaultdict(list)
    refused: set[int] = set()

    def admit(item: tuple[str, int]) -> bool:
        if item[1] in shy and item[1] not in refused:
            refused.add(item[1])
            return False
        return True

    for number, move in enumerate([*moves, *([1000] * 61)]):
        if isinstance(move, str):
            queue.put(move, (move, number))
            put[move].append(number)
        else:
            taken = queue.take(move, admit)
            assert len(taken) <= move
            for lane, item in taken:
                got[lane].append(item)
        assert len(queue) == len(list(queue)) == sum(map(len, put.values())) - sum(map(len, got.values()))
    assert got == put


@given(st.lists(st.integers(1, 40), min_size=2, max_size=6), st.integers(1, 30))
def test_no_lane_waits_for_more_than_a_share_of_each_other(sizes: list[int], most: int) -> None:
    queue: FairQueue[int] = FairQueue(SHARE)
    for lane, size in enumerate(sizes):
        for _ in range(size):
            queue.put(str(lane), lane)
    left = list(sizes)
    since = [0] * len(sizes)  # items of others that were taken since this lane's last
    while len(queue):
        for lane in queue.take(most, lambda _: True):
            since = [0 if one == lane else waited + 1 for one, waited in enumerate(since)]
            left[lane] -= 1
            for one, waited in enumerate(since):
                # A take that ends within a turn may cost a lane one further turn of each other.
                assert not left[one] or waited <= 2 * SHARE * (len(sizes) - 1)


def test_what_is_gone_is_dropped_and_a_lane_that_was_refused_comes_first() -> None:
    queue: FairQueue[str] = FairQueue(SHARE)
    for item in ("a1", "b1", "a2", "b2"):
        queue.put(item[0], item)
    assert queue.take(10, lambda item: item[0] == "b") == ["b1", "b2"]
    queue.put("b", "b3")
    assert queue.take(2, lambda _: True) == ["a1", "a2"]
    queue.put("a", "a3")
    queue.remove("a", lambda item: item == "a3")
    assert list(queue) == ["b3"]
    queue.clear()
    assert len(queue) == 0
