"""Timers fire once, when they are due by the database's clock, however many look for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import making

from trunkline.domain.status import EnvelopeKind
from trunkline.store import mailbox, timers
from trunkline.store.append import Appender, TimerSet
from trunkline.store.database import Database


async def test_two_firers_fire_each_timer_once(
    db: Database, url: str, appender: Appender, opened: Callable[..., Awaitable[Database]]
) -> None:
    owner, held = await making.owned(db, 50)
    for lease, letter in held:
        entries = [making.started(letter.run)]
        due = [TimerSet(letter.run, f"sleep#{n}", 0.0) for n in range(4)]
        await appender.append(making.append(lease, owner, entries, timers=[*due, TimerSet(letter.run, "later", 60.0)]))
    rival = await opened(url, schema=db.schema)

    async def fire(through: Database) -> int:
        fired = 0
        while await timers.fire_due(through, limit=7):
            fired += 1
        return fired

    rounds = await asyncio.gather(*(fire(each) for each in (db, rival, db, rival)))
    assert sum(rounds) >= 200 / 7
    counted = await making.rows(
        db, "select run, body->>'step', count(*) from mailbox where kind = 'timer' group by 1, 2"
    )
    assert len(counted) == 200
    assert {count for *_, count in counted} == {1}
    assert await making.rows(db, "select distinct step from timers") == [("later",)]


async def test_a_due_timer_is_mail_to_its_run(db: Database, appender: Appender) -> None:
    owner, [(lease, letter)] = await making.owned(db)
    due = [TimerSet(letter.run, "sleep#1", 0.0)]
    await appender.append(making.append(lease, owner, [making.started(letter.run)], timers=due))
    [(due_at,)] = await making.rows(db, "select extract(epoch from due_at)::float8 from timers")
    assert await timers.fire_due(db) == [(making.TENANT, making.AGENT, lease.instance)]
    mail = (await mailbox.pending(db, [lease.instance]))[lease.instance][-1]
    assert (mail.kind, mail.run, mail.body) == (EnvelopeKind.TIMER, letter.run, {"step": "sleep#1", "due": due_at})
    assert await timers.fire_due(db) == []


async def test_a_timer_set_again_under_its_step_fires_again(db: Database, appender: Appender) -> None:
    owner, [(lease, letter)] = await making.owned(db)
    for head in range(3):
        due = [TimerSet(letter.run, "wait#1", 0.0)]
        await appender.append(making.append(lease, owner, [making.completed(letter.run)], after=head, timers=due))
        assert len(await timers.fire_due(db)) == 1
    assert len((await mailbox.pending(db, [lease.instance]))[lease.instance]) == 4


async def test_a_test_brings_timers_nearer(db: Database, appender: Appender) -> None:
    assert await timers.next_due(db) is None
    owner, [(lease, letter)] = await making.owned(db)
    due = [TimerSet(letter.run, "soon", 60.0), TimerSet(letter.run, "later", 7200.0)]
    await appender.append(making.append(lease, owner, [making.started(letter.run)], timers=due))
    wait = await timers.next_due(db)
    assert wait is not None
    assert 50.0 < wait <= 60.0
    await timers.bring_nearer(db, wait)
    assert await timers.next_due(db) == 0.0
    assert len(await timers.fire_due(db)) == 1
    assert await making.rows(db, "select step from timers") == [("later",)]
    assert 7000.0 < (await timers.next_due(db) or 0.0) < 7150.0
