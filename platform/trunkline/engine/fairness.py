"""Fair turns: what waits in many lanes is taken a share of each lane at a time, round and round.

A lane that holds thousands delays the head of another by its share, and no more. Within a lane the order is kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """At most ``share`` of one lane are taken before it is the next one's turn."""

    def __init__(self, share: int) -> None:
        self._share = share
        self._lanes: dict[str, deque[T]] = {}  # in the order of their turns
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[T]:
        """All that waits, lane by lane."""
        return (item for lane in self._lanes.values() for item in lane)

    def lane(self, name: str) -> Iterator[T]:
        """What waits in one lane."""
        return iter(self._lanes.get(name, ()))

    @property
    def lanes(self) -> int:
        """In how many lanes something waits."""
        return len(self._lanes)

    def put(self, lane: str, item: T) -> None:
        self._lanes.setdefault(lane, deque()).append(item)
        self._size += 1

    def take(self, most: int, admit: Callable[[T], bool]) -> list[T]:
        """Up to ``most`` items in their turns. A lane whose next item is not admitted is passed over this time; it
        keeps its place before those that gave.
        """
        if self._size == len(self._lanes) <= most:
            return self._take_one_each(admit)
        taken: list[T] = []
        gave: dict[str, deque[T]] = {}
        turns = deque(self._lanes.items())
        while turns and len(taken) < most:
            name, lane = turns.popleft()
            before, refused = len(taken), self._turn(lane, most, admit, taken)
            if len(taken) > before:
                gave.pop(name, None)
                gave[name] = lane
            if lane and not refused:
                turns.append((name, lane))
        self._to_the_end(gave)
        self._size -= len(taken)
        return taken

    def _take_one_each(self, admit: Callable[[T], bool]) -> list[T]:
        """Nobody has more than one, and all can be taken: there are no turns to be kept."""
        lanes, self._lanes = self._lanes, {}
        taken: list[T] = []
        for name, lane in lanes.items():
            if admit(lane[0]):
                taken.append(lane[0])
            else:
                self._lanes[name] = lane
        self._size -= len(taken)
        return taken

    def remove(self, name: str, gone: Callable[[T], bool]) -> None:
        """Drop what is ``gone`` of one lane."""
        lane = self._lanes.pop(name, None)
        if lane is None:
            return
        kept = deque(item for item in lane if not gone(item))
        self._size -= len(lane) - len(kept)
        if kept:
            self._lanes[name] = kept

    def clear(self) -> None:
        self._lanes.clear()
        self._size = 0

    def _turn(self, lane: deque[T], most: int, admit: Callable[[T], bool], taken: list[T]) -> bool:
        """One turn of a lane; whether its next item was not admitted."""
        for _ in range(min(self._share, len(lane), most - len(taken))):
            if not admit(lane[0]):
                return True
            taken.append(lane.popleft())
        return False

    def _to_the_end(self, gave: dict[str, deque[T]]) -> None:
        for name, lane in gave.items():
            del self._lanes[name]
            if lane:
                self._lanes[name] = lane
