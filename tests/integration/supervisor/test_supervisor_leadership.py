"""One leads, the others stand by."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from watching import due_timer, fired, rows, supervisor

from trunkline.settings import Settings
from trunkline.store import leaders
from trunkline.store.database import Database
from trunkline.supervisor.leadership import NAME, Leadership
from trunkline.supervisor.presence import Presence


class Term:
    """What a leader does in this test: it says that it leads, and that it no longer does."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.ended = asyncio.Event()

    async def __call__(self) -> None:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()


async def test_one_leads_and_hands_over_when_it_resigns(db: Database) -> None:
    first, second = Term(), Term()
    leader = asyncio.create_task(Leadership(db, "first", 0.8).hold(first))
    await asyncio.wait_for(first.began.wait(), 10)
    heir = asyncio.create_task(Leadership(db, "second", 0.8).hold(second))
    leader.cancel()
    await asyncio.wait_for(second.began.wait(), 10)
    assert first.ended.is_set()
    heir.cancel()
    await asyncio.gather(leader, heir, return_exceptions=True)
    assert await rows(db, "select until_at <= clock_timestamp() from leaders") == [(True,)]


async def test_a_leader_whose_lease_was_taken_steps_down(db: Database) -> None:
    term = Term()
    leadership = Leadership(db, "first", 0.4)
    task = asyncio.create_task(leadership.hold(term))
    await asyncio.wait_for(term.began.wait(), 10)
    await rows(db, "update leaders set until_at = clock_timestamp() - interval '1 second'")
    assert await leaders.acquire(db, NAME, "usurper", 60)
    await asyncio.wait_for(term.ended.wait(), 10)
    assert not leadership.leading
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await rows(db, "select owner from leaders") == [("usurper",)]


async def test_a_look_at_the_roster_renews_the_lease_and_no_longer_when_it_was_taken(
    db: Database, quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewals: list[int] = []

    async def renew(*_: object) -> bool:
        renewals.append(1)
        return False

    monkeypatch.setattr(leaders, "renew", renew)
    presence, term = Presence(db, quick), Term()
    leadership = Leadership(db, "first", quick.lease, beside=presence)
    task = asyncio.create_task(leadership.hold(term))
    await asyncio.wait_for(term.began.wait(), 10)
    began = time.monotonic()
    while time.monotonic() < began + 2 * quick.lease:
        await presence.look()
    assert leadership.leading
    assert not renewals
    await rows(db, "update leaders set until_at = clock_timestamp() - interval '1 second'")
    assert await leaders.acquire(db, NAME, "usurper", 60)
    while not term.ended.is_set():
        await presence.look()
    assert renewals, "the look could not; so it is asked by itself"
    assert await rows(db, "select owner from leaders") == [("usurper",)]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_when_the_leader_is_killed_another_takes_over(db: Database, quick: Settings, eventually: Any) -> None:
    async with supervisor(quick) as first, supervisor(quick) as second:
        leader = await eventually(lambda: _leader(db))
        ids = await eventually(lambda: _joined(db, {first.pid, second.pid}))
        killed, heir = (first, second) if ids[first.pid] == leader else (second, first)
        await killed.kill()
        since = time.monotonic()
        await eventually(lambda: _leads(db, ids[heir.pid]))
        assert time.monotonic() - since < 2 * quick.lease + 5  # which are for a busy machine
        run = await due_timer(db)
        await eventually(lambda: fired(db, run))
        await eventually(lambda: _buried(db, ids[killed.pid]))


async def _leader(db: Database) -> str | None:
    found = await rows(db, "select owner from leaders where until_at > clock_timestamp()")
    return found[0][0] if found else None


async def _leads(db: Database, worker: str) -> bool:
    return await _leader(db) == worker


async def _buried(db: Database, worker: str) -> bool:
    return bool(await rows(db, "select 1 from workers where id = %s and dead_at is not null", worker))


async def _joined(db: Database, pids: set[int]) -> dict[int, str] | None:
    ids = dict(await rows(db, "select pid, id from workers where kind = 'supervisor'"))
    return ids if set(ids) == pids else None
