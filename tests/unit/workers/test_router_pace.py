"""How far the router gives way to what has begun in its worker, and when it no longer does."""

from __future__ import annotations

import pytest

from trunkline_workers.router import pace
from trunkline_workers.router.pace import FEW, LONGEST, MOST, SHARE, Pace


class Worker:
    """``looks`` are what it says of itself, one after the other, the last one from then on; each takes ``seconds``."""

    def __init__(self, *looks: bool, seconds: float = 0.0) -> None:
        self._looks, self._seconds = list(looks), seconds
        self.asked, self.now = 0, 0.0

    def behind(self) -> bool:
        self.asked += 1
        self.now += self._seconds
        return self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]

    def pace(self) -> Pace:
        made = Pace(clock=lambda: self.now)
        made.behind = self.behind
        return made


@pytest.fixture(autouse=True)
def _without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "LOOK_EVERY", 0.0)


def test_few_are_in_hand_at_once_and_many_again_step_by_step() -> None:
    mine = Worker(False, True, True, False).pace()
    assert [mine.room() for _ in range(7)] == [MOST, FEW, FEW, 2 * FEW, 4 * FEW, MOST, MOST]


async def test_beside_a_worker_that_is_not_behind_there_is_no_rest() -> None:
    worker = Worker(False)
    await worker.pace().rest(1.0)
    assert worker.asked == 1


async def test_a_rest_ends_when_the_worker_is_through() -> None:
    worker = Worker(True, True, True, False)
    await worker.pace().rest(1.0)
    assert worker.asked == 4


async def test_a_rest_is_as_long_as_the_batch_was_work() -> None:
    worker = Worker(True, seconds=0.01)
    await worker.pace().rest(0.01)
    assert SHARE * 0.01 <= worker.now <= SHARE * 0.01 + 0.02


async def test_a_rest_is_never_longer_than_its_bound() -> None:
    worker = Worker(True, seconds=0.1)
    await worker.pace().rest(3600.0)
    assert LONGEST <= worker.now <= LONGEST + 0.2


async def test_who_is_to_stop_rests_no_more() -> None:
    worker = Worker(True)
    resting = worker.pace()
    resting.end()
    await resting.rest(3600.0)
    assert worker.asked == 1
