"""Mail is read in turns: a share of one instance, then of the next; none where too many commits are under way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from trunkline_workers.agent import reading
from trunkline_workers.agent.reading import MOST_UNSETTLED, SHARE, Reading
from trunkline_workers.agent.tray import Tray

Eventually = Callable[..., Any]


class Stub:
    """An activation that notes when it is given a letter."""

    def __init__(self, key: str, letters: int, order: list[str]) -> None:
        self.lease = SimpleNamespace(instance=key)
        self.tray = Tray()
        self.tray.put(SimpleNamespace(seq=number) for number in range(letters))  # type: ignore[misc]
        self.unsettled, self.closed = 0, False
        self.take = None
        self._order = order

    def act(self, _: Any, *, letters: tuple[int, ...]) -> None:
        self._order += [self.lease.instance] * len(letters)


@pytest.fixture
async def turns(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Reading]:
    monkeypatch.setattr(reading, "partial", lambda *_: None)
    turns = Reading()
    task = asyncio.create_task(turns.run())
    yield turns
    task.cancel()


async def test_each_has_its_share_in_its_turn(turns: Reading, eventually: Eventually) -> None:
    order: list[str] = []
    flood, beside = Stub("f", 3 * SHARE, order), Stub("b", 2, order)
    turns.put(flood)  # type: ignore[arg-type]
    turns.put(beside)  # type: ignore[arg-type]
    await eventually(lambda: _read(order, 3 * SHARE + 2))
    assert "".join(order) == "f" * SHARE + "bb" + "f" * 2 * SHARE


async def test_the_loop_turns_in_between(
    turns: Reading, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    monkeypatch.setattr(reading, "LONGEST", 0.0)
    order: list[str] = []
    turns.put(Stub("f", 10 * SHARE, order))  # type: ignore[arg-type]
    seen: set[int] = set()
    while len(order) < 10 * SHARE:
        await asyncio.sleep(0)
        seen.add(len(order))
    assert len(seen) > 5


async def test_one_with_too_many_commits_under_way_waits_for_them(turns: Reading, eventually: Eventually) -> None:
    order: list[str] = []
    busy = Stub("f", 3, order)
    busy.unsettled = MOST_UNSETTLED
    turns.put(busy)  # type: ignore[arg-type]
    turns.put(Stub("b", 1, order))  # type: ignore[arg-type]
    await eventually(lambda: _read(order, 1))
    assert order == ["b"]
    busy.unsettled = 0
    turns.put(busy)  # type: ignore[arg-type]
    await eventually(lambda: _read(order, 4))


async def test_nothing_is_read_after_the_close(turns: Reading) -> None:
    order: list[str] = []
    turns.put(Stub("f", 3, order))  # type: ignore[arg-type]
    turns.close()
    turns.put(Stub("b", 3, order))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert order == []


async def _read(order: list[str], count: int) -> bool:
    return len(order) == count
