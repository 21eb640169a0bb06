"""What dead and departed workers held is free again, fenced, and woken."""

from __future__ import annotations

import pytest
from watching import TENANT, mail, outcome, owned, rows, woken

from trunkline.bus.connection import Bus
from trunkline.domain.codec import dumps
from trunkline.domain.errors import Fenced
from trunkline.domain.ids import new_id
from trunkline.domain.journal import RunStarted
from trunkline.domain.work import Heartbeat
from trunkline.settings import Settings
from trunkline.store import workers
from trunkline.store.append import Append, Appender
from trunkline.store.database import Database
from trunkline.supervisor import reclaim as duty
from trunkline.supervisor.reclaim import Reclaim
from trunkline.supervisor.replies import Replies


@pytest.fixture
def reclaim(db: Database, bus: Bus, quick: Settings) -> Reclaim:
    return Reclaim(db, bus, quick, Replies(db, bus, quick))


@pytest.fixture
async def worker(db: Database) -> str:
    name = new_id()
    beat = Heartbeat(worker=name, kind="agents", app="app", tenant=TENANT, host="here", pid=1, started_at=1.0)
    await workers.join(db, beat)
    return name


async def declare_dead(db: Database, worker: str) -> None:
    [seen] = [each for each in await workers.list_workers(db) if each.worker == worker]
    assert await workers.declare_dead(db, worker, seen.beat_at)


async def owners(db: Database) -> set[tuple[str | None, int, int]]:
    return set(await rows(db, "select owner, epoch, takeovers from instances"))


async def test_a_dead_workers_instances_are_freed_in_batches_and_woken(
    reclaim: Reclaim, worker: str, db: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duty, "BATCH", 3)
    letters = await owned(db, worker, 7)
    await declare_dead(db, worker)
    await reclaim.look()
    assert await owners(db) == {(None, 2, 1)}
    assert sorted(await woken(bus)) == sorted(letter.instance for letter in letters)


async def test_what_a_worker_gave_up_by_leaving_is_no_takeover(
    reclaim: Reclaim, worker: str, db: Database, bus: Bus
) -> None:
    [letter] = await owned(db, worker)
    await workers.leave(db, worker)
    await reclaim.look()
    assert await owners(db) == {(None, 2, 0)}
    assert await woken(bus) == [letter.instance]


async def test_nothing_is_freed_of_a_worker_that_lives(reclaim: Reclaim, worker: str, db: Database, bus: Bus) -> None:
    await owned(db, worker)
    await reclaim.look()
    assert await owners(db) == {(worker, 1, 0)}
    assert await woken(bus) == []


async def test_what_the_old_owner_still_appends_is_refused(reclaim: Reclaim, worker: str, db: Database) -> None:
    [letter] = await owned(db, worker)
    await declare_dead(db, worker)
    await reclaim.look()
    appender = Appender(db)
    appender.start()
    entry = RunStarted(letter.run, input=None, at=1.0, seed="s", message_id="m")
    with pytest.raises(Fenced):
        await appender.append(
            Append(letter.instance, TENANT, letter.agent, owner=worker, epoch=1, expected=0, entries=[entry])
        )
    await appender.close()


async def test_outcomes_that_lay_unread_are_committed_before_the_instances_are_freed(
    reclaim: Reclaim, worker: str, db: Database, bus: Bus
) -> None:
    [letter] = await owned(db, worker)
    await bus.publish(bus.subjects.reply(TENANT, worker), dumps(outcome(letter, value=7)))
    await declare_dead(db, worker)
    await reclaim.look()
    assert [body["value"] for body in await mail(db, letter, "reply")] == [7]
    assert await owners(db) == {(None, 2, 1)}


async def test_a_worker_is_looked_after_once(reclaim: Reclaim, worker: str, db: Database, bus: Bus) -> None:
    await owned(db, worker)
    await declare_dead(db, worker)
    await reclaim.look()
    await reclaim.look()
    assert await owners(db) == {(None, 2, 1)}
    assert len(await woken(bus)) == 1
