"""Timers fire once, however many look for them."""

from __future__ import annotations

import asyncio
from typing import Any

from watching import TENANT, due_timer, fired, mail, owned, rows, woken

from trunkline.bus.connection import Bus
from trunkline.domain.codec import dumps
from trunkline.domain.ids import new_id
from trunkline.domain.work import AlarmSet, Heartbeat
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
        assert [body["step"] for body in await mail(db, letter, "timer")] == ["sleep:#1"]
    assert sorted(await woken(bus)) == sorted(letter.instance for letter in letters)
    assert await rows(db, "select count(*) from timers") == [(40,)]


async def test_between_two_looks_a_timer_is_fired_when_it_is_due_if_word_came_of_it(
    db: Database, bus: Bus, quick: Settings, eventually: Any
) -> None:
    never = quick.model_copy(update={"alarm_every": 3600.0})
    alarms = asyncio.create_task(Alarms(db, bus, never).run())
    try:
        first = await due_timer(db)
        await eventually(lambda: _sent(bus, 0.0, db, first))
        late, soon = await due_timer(db, 1.0), await due_timer(db, 0.3)
        for seconds in (1.0, 0.3, 0.6):  # of a timer that is told again there is nothing to do
            bus.send(bus.subjects.alarm(), dumps(AlarmSet(seconds=seconds)))
        bus.send(bus.subjects.alarm(), b"no word")
        await eventually(lambda: fired(db, soon))
        await eventually(lambda: fired(db, late))
    finally:
        alarms.cancel()
        await asyncio.gather(alarms, return_exceptions=True)


async def _sent(bus: Bus, seconds: float, db: Database, run: str) -> bool:
    """Send word until it is heard: the duty may not listen yet."""
    bus.send(bus.subjects.alarm(), dumps(AlarmSet(seconds=seconds)))
    return await fired(db, run)
