"""Timers fire once, however many look for them."""

from __future__ import annotations

import asyncio

from watching import TENANT, mail, owned, rows, woken

from trunkline.bus.connection import Bus
from trunkline.domain.ids import new_id
from trunkline.domain.work import Heartbeat
from trunkline.settings import Settings
from trunkline.store import workers
from trunkline.store.append import Append, Appender, TimerSet
from trunkline.store.database import Database
from trunkline.supervisor.alarms import Alarms


async def test_a_due_timer_becomes_one_letter_and_a_wake(db: Database, bus: Bus, quick: Settings) -> None:
    owner = new_id()
    await workers.join(db, Heartbeat(worker=owner, kind="agents", host="here", pid=1, started_at=1.0))
    letters = await owned(db, owner, 40)
    appender = Appender(db)
    appender.start()
    for letter in letters:
        timers = [TimerSet(letter.run, "sleep:#1", 0.0), TimerSet(letter.run, "sleep:#2", 3600.0)]
        change = Append(letter.instance, TENANT, letter.agent, owner, 1, 0, entries=(), timers=timers)
        await appender.append(change)
    await appender.close()
    await asyncio.gather(*(Alarms(db, bus, quick).fire() for _ in range(4)))
    for letter in letters:
        assert await mail(db, letter, "timer") == [{"step": "sleep:#1"}]
    assert sorted(await woken(bus)) == sorted(letter.instance for letter in letters)
    assert await rows(db, "select count(*) from timers") == [(40,)]
