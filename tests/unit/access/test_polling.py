"""Those who wait share one query, and are told as soon as there is something."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from trunkline.access.polling import Polling
from trunkline.domain.errors import Unavailable


class Table:
    """What there is, and what was asked."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.asked: list[list[str]] = []
        self.away = False
        self.wrong = ""
        self.looked = asyncio.Event()

    async def look(self, keys: Sequence[str]) -> dict[str, int]:
        self.asked.append(sorted(keys))
        self.looked.set()
        if self.away:
            raise Unavailable(what="Postgres", reason="away")
        if self.wrong in keys:
            raise ValueError(self.wrong)
        return {key: self.rows[key] for key in keys if key in self.rows}


async def test_many_wait_in_one_query_and_a_hint_looks_at_once() -> None:
    table = Table()
    polling = Polling(table.look, every=3600)
    waiting = [asyncio.create_task(polling.wait(key, 60)) for key in ("a", "b", "b")]
    await asyncio.wait_for(table.looked.wait(), 5)
    table.rows = {"a": 1, "b": 2}
    polling.hint()
    assert await asyncio.wait_for(asyncio.gather(*waiting), 5) == [1, 2, 2]
    assert table.asked[-1] == ["a", "b"]


async def test_for_whoever_has_looked_nobody_looks_again_until_there_is_a_hint() -> None:
    table = Table()
    polling = Polling(table.look, every=3600)
    polling.hint()  # before it looked
    looked_at = polling.hints
    waiting = asyncio.create_task(polling.wait("a", 60, looked_at))
    await asyncio.wait_for(table.looked.wait(), 5)  # once, for a hint that nobody had been there to hear
    table.looked.clear()
    other = asyncio.create_task(polling.wait("b", 60, polling.hints))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not table.looked.is_set()
    table.rows = {"a": 1, "b": 2}
    polling.hint()
    assert await asyncio.wait_for(asyncio.gather(waiting, other), 5) == [1, 2]
    assert table.asked == [["a"], ["a", "b"]]


async def test_a_hint_that_others_took_while_it_looked_is_not_missed() -> None:
    table = Table()
    polling = Polling(table.look, every=3600)
    other = asyncio.create_task(polling.wait("b", 60))
    await asyncio.wait_for(table.looked.wait(), 5)
    table.looked.clear()
    looked_at = polling.hints
    polling.hint()  # while whoever is to wait for "a" looks, in vain
    await asyncio.wait_for(table.looked.wait(), 5)
    assert table.asked == [["b"], ["b"]]
    table.rows = {"a": 1}
    assert await asyncio.wait_for(polling.wait("a", 60, looked_at), 5) == 1
    other.cancel()


async def test_a_wait_ends_by_itself_and_leaves_nothing() -> None:
    table = Table()
    polling = Polling(table.look, every=0.01)
    assert await polling.wait("a", 0.05) is None
    table.rows = {"a": 1}
    assert await polling.wait("a", 60) == 1


async def test_an_outage_is_waited_out() -> None:
    table = Table()
    table.away = True
    polling = Polling(table.look, every=0.01)
    waiting = asyncio.create_task(polling.wait("a", 60))
    await asyncio.wait_for(table.looked.wait(), 5)
    table.away, table.rows = False, {"a": 1}
    assert await asyncio.wait_for(waiting, 5) == 1


async def test_what_is_wrong_with_one_is_told_to_it_alone(caplog: pytest.LogCaptureFixture) -> None:
    table = Table()
    table.wrong, keys = "c", list("abcdefgh")
    table.rows = dict.fromkeys(keys, 1)
    polling = Polling(table.look, every=3600)
    told = await asyncio.wait_for(asyncio.gather(*(polling.wait(key, 60) for key in keys), return_exceptions=True), 5)
    assert [one for one in told if one != 1] == [told[2]]
    assert repr(told[2]) == "ValueError('c')"
    assert len(table.asked) == 7, "it is found by halves"
    assert caplog.text.count("cannot be told") == 1
    assert await asyncio.wait_for(polling.wait("a", 60), 5) == 1
