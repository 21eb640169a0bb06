"""Schedules in Postgres: declared, kept, changed and dropped; and each occurrence fired in one transaction, once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from making import TENANT, rows, value

from trunkline.domain.specs import AgentSpec, ScheduleSpec
from trunkline.observe import faults
from trunkline.observe.faults import FaultInjected
from trunkline.store import definitions, schedules
from trunkline.store.database import Database

HOUR, DAY = 3600.0, 86400.0


def every(name: str = "hourly", **fields: Any) -> ScheduleSpec:
    return ScheduleSpec(name=name, **{"kind": "every", "every": HOUR, **fields})


async def declare(db: Database, *specs: ScheduleSpec, agent: str = "report", app: str = "app", **options: Any) -> None:
    await definitions.publish(db, TENANT, [AgentSpec(name=agent, app=app, schedules=specs)], [], **options)


async def only(db: Database) -> schedules.Schedule:
    [found] = await schedules.list_schedules(db, TENANT)
    return found


async def back(db: Database, seconds: float) -> None:
    """Nothing ran for so long."""
    await rows(db, "update schedules set due_at = due_at - %s * interval '1 second'", seconds)


async def inputs(db: Database) -> list[Any]:
    return [found for (found,) in await rows(db, "select input->>'due_at' from runs order by 1")]


async def test_what_is_declared_is_due_after_now(db: Database) -> None:
    await declare(db, every())
    found, now = await only(db), await db.now()
    assert (found.agent, found.name, found.app, found.trouble) == ("report", "hourly", "app", "")
    assert found.due_at is not None
    assert now < found.due_at <= now + HOUR
    assert found.due_at % HOUR == 0
    assert (found.fired_at, found.missed_at) == (None, None)


async def test_declaring_it_again_forgets_no_missed_occurrence(db: Database) -> None:
    await declare(db, every())
    await back(db, 2 * HOUR)
    before = (await only(db)).due_at
    await declare(db, every())
    assert (await only(db)).due_at == before


async def test_a_changed_schedule_is_due_anew_and_a_removed_one_is_gone(db: Database) -> None:
    await declare(db, every(), every("other"))
    await back(db, 2 * HOUR)
    await declare(db, every(every=60.0))
    found = await only(db)
    assert (found.name, found.spec["every"]) == ("hourly", 60.0)
    assert (found.due_at or 0) > await db.now()
    await declare(db, agent="another", app="elsewhere")
    assert len(await schedules.list_schedules(db, TENANT)) == 1
    await declare(db, agent="another")
    assert await schedules.list_schedules(db, TENANT) == [], "its agent is gone from the app"


async def test_an_agent_that_another_app_declares_without_it_has_it_no_longer(db: Database) -> None:
    await declare(db, every())
    await declare(db, app="moved")
    assert await schedules.list_schedules(db, TENANT) == []


async def test_an_occurrence_is_one_run_however_many_look(db: Database) -> None:
    await declare(db, *(every(f"s{n}") for n in range(20)))
    await back(db, HOUR)
    looks = await asyncio.gather(*(schedules.fire_due(db) for _ in range(4)))
    assert sum(due for due, _ in looks) == 20
    woken = [address for _, addresses in looks for address in addresses]
    assert len(woken) == len(set(woken)) == 20
    assert await rows(db, "select count(*), count(distinct key) from runs where status = 'accepted'") == [(20, 20)]
    assert await value(db, "select count(*) from mailbox where kind = 'request'") == 20
    assert await schedules.fire_due(db) == (0, [])


@pytest.mark.parametrize(("missed", "fired"), [("skip", 0), ("once", 1), ("all", 5)])
async def test_missed_occurrences(db: Database, missed: str, fired: int) -> None:
    noon = 20_010 * DAY + DAY / 2 - await db.now()
    await declare(db, every(missed=missed, every=DAY), ahead=noon - 5 * DAY)
    await schedules.fire_due(db, ahead=noon)
    assert await inputs(db) == [f"2024-10-{14 - n}T00:00:00Z" for n in reversed(range(fired))]
    found = await only(db)
    assert found.due_at == 20_011 * DAY
    assert found.missed_at == {"skip": 20_010 * DAY, "once": 20_009 * DAY, "all": None}[missed]
    assert found.fired_at == (20_010 * DAY if fired else None)


async def test_no_more_than_a_hundred_are_made_up_for(db: Database) -> None:
    await declare(db, every(missed="all", every=1.0))
    await back(db, 1000.0)
    await schedules.fire_due(db)
    assert await value(db, "select count(*) from runs") == 100
    assert (await only(db)).missed_at is not None
    assert await value(db, "select count(distinct instance) from runs") == 1


async def test_a_fault_before_the_commit_leaves_it_due(db: Database) -> None:
    await declare(db, every())
    await back(db, HOUR)
    due = (await only(db)).due_at
    faults.configure("schedule-accepted=fail")
    try:
        with pytest.raises(FaultInjected):
            await schedules.fire_due(db)
    finally:
        faults.configure("")
    assert (await only(db)).due_at == due
    assert await value(db, "select count(*) from mailbox") == 0
    _, woken = await schedules.fire_due(db)
    assert len(woken) == 1


async def test_an_occurrence_that_was_fired_is_not_fired_again_after_its_schedule_was_removed(db: Database) -> None:
    await declare(db, every())
    await back(db, HOUR)
    await schedules.fire_due(db)
    fired = (await only(db)).fired_at
    await declare(db)
    await declare(db, every())
    await rows(db, "update schedules set due_at = to_timestamp(%s)", fired)
    await schedules.fire_due(db)
    assert await value(db, "select count(*) from runs") == 1


async def test_once_is_once(db: Database) -> None:
    now = await db.now()
    await declare(db, every("soon", kind="at", at=now + 10), every("past", kind="at", at=now - 10))
    past, soon = await schedules.list_schedules(db, TENANT)
    assert (past.due_at, soon.due_at) == (None, pytest.approx(now + 10))
    await schedules.fire_due(db, ahead=11.0)
    assert await value(db, "select count(*) from runs") == 1
    assert [one.due_at for one in await schedules.list_schedules(db, TENANT)] == [None, None]
    assert await schedules.next_due(db) is None


async def test_one_that_cannot_be_carried_out_stands_still_says_so_and_is_in_nobodys_way(db: Database) -> None:
    await declare(db, every("broken"), every("sound"))
    await rows(db, 'update schedules set spec = \'{"name": "broken", "kind": "lunar"}\' where name = \'broken\'')
    await back(db, HOUR)
    await schedules.fire_due(db)
    broken, sound = await schedules.list_schedules(db, TENANT)
    assert "it cannot be carried out here" in broken.trouble
    assert (broken.due_at, sound.trouble) == (None, "")
    assert (sound.due_at or 0) > await db.now()
    assert await value(db, "select count(*) from runs") == 1
    await declare(db, every("broken"), every("sound"))
    broken, _ = await schedules.list_schedules(db, TENANT)
    assert (broken.trouble, (broken.due_at or 0) > await db.now()) == ("", True)


async def test_time_can_be_told_another(db: Database) -> None:
    await declare(db, every(), ahead=-10 * DAY)
    assert (await only(db)).due_at == pytest.approx(await db.now() - 10 * DAY, abs=HOUR)
    wait = await schedules.next_due(db, ahead=-10 * DAY)
    assert wait is not None
    assert 0 <= wait <= HOUR
    assert await schedules.fire_due(db, ahead=-10 * DAY) == (0, [])
    assert (await schedules.fire_due(db, ahead=wait - 10 * DAY))[0] == 1
