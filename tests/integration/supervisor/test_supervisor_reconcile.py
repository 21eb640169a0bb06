"""What was forgotten is woken again: untaken mail, and runs that nobody drives."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from watching import owned, request, rows, woken

from trunkline.bus.connection import Bus
from trunkline.domain.ids import new_id
from trunkline.domain.work import Heartbeat
from trunkline.settings import Settings
from trunkline.store import workers
from trunkline.store.accept import accept
from trunkline.store.database import Database
from trunkline.supervisor import reconcile as duty
from trunkline.supervisor.reconcile import Reconcile

AGE = "update mailbox set created_at = created_at - interval '1 minute'"


@pytest.fixture
def reconcile(db: Database, bus: Bus, quick: Settings) -> Reconcile:
    return Reconcile(db, bus, quick)


async def test_mail_that_nobody_took_is_woken_again(db: Database, bus: Bus, quick: Settings, eventually: Any) -> None:
    letters = [request() for _ in range(3)]
    await accept(db, letters)
    task = asyncio.create_task(Reconcile(db, bus, quick).run())
    found = await eventually(lambda: _all_woken(bus, 3))
    assert set(found) == {letter.instance for letter in letters}
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_fresh_mail_is_left_to_its_own_wake(reconcile: Reconcile, db: Database, bus: Bus) -> None:
    await accept(db, [request()])
    assert await reconcile.look() == 0
    assert await woken(bus) == []


async def test_every_page_is_seen_and_nobody_is_woken_at_every_look(
    reconcile: Reconcile, db: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duty, "PAGE", 2)
    await accept(db, [request() for _ in range(7)])
    await rows(db, AGE)
    assert await reconcile.look() == 7
    assert await reconcile.look() == 0
    assert len(set(await woken(bus))) == 7


async def test_one_look_is_bounded_and_the_next_goes_on_from_there(
    reconcile: Reconcile, db: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duty, "PAGE", 2)
    monkeypatch.setattr(duty, "MOST", 4)
    await accept(db, [request() for _ in range(7)])
    await rows(db, AGE)
    assert [await reconcile.look() for _ in range(2)] == [4, 3]
    assert [await reconcile.look() for _ in range(3)] == [0, 0, 0]  # all were woken just now, and that is remembered
    assert len(set(await woken(bus))) == 7


async def test_a_subject_gets_no_more_wakes_than_its_backlog(
    reconcile: Reconcile, db: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duty, "BACKLOG", 3)
    await accept(db, [request() for _ in range(5)])
    await rows(db, AGE)
    assert await reconcile.look() == 3
    assert len(await woken(bus)) == 3


async def test_a_run_that_nobody_drives_is_woken(reconcile: Reconcile, db: Database, bus: Bus) -> None:
    owner = new_id()
    await workers.join(db, Heartbeat(worker=owner, kind="agents", host="here", pid=1, started_at=1.0))
    running, waiting, held = await owned(db, owner, 3)
    await rows(db, "update mailbox set taken_at = now()")
    await rows(db, "update runs set status = 'running' where id = any(%s::uuid[])", [running.run, held.run])
    await rows(db, "update runs set status = 'waiting' where id = %s", waiting.run)
    await rows(db, "update instances set owner = null where id <> %s", held.instance)
    await rows(db, "update instances set progress_at = progress_at - interval '1 minute'")
    assert await reconcile.look() == 1
    assert await woken(bus) == [running.instance]


async def _all_woken(bus: Bus, count: int) -> list[str]:
    found = await woken(bus)
    return found if len(set(found)) == count else []
