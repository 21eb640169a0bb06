"""Time in a test's exchange: it is skipped from one thing that is due to the next, as if it had passed."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from trunkline.authoring.app import App
from trunkline.bus.connection import Bus
from trunkline.domain.durations import Duration, seconds
from trunkline.domain.errors import TrunklineError
from trunkline.domain.events import CloudEvent
from trunkline.domain.specs import ScheduleSpec
from trunkline.engine import occurrences
from trunkline.settings import Settings
from trunkline.store import schedules, timers
from trunkline.store.database import Database
from trunkline.supervisor.alarms import Alarms
from trunkline.supervisor.schedules import Schedules
from trunkline_sensors.cron import Cron
from trunkline_sensors.service import sensors_of
from trunkline_workers.agent.office import Clock

MOST_STOPS = 1000  # timers and ticks on the way of one skip

After = Callable[[float], float | None]  # the first time after one


class TooFar(TrunklineError):
    """A skip of {duration} passes more than {most} times at which something is due ({what}). Skip less at a time, or
    leave the schedules out: Exchange(…, schedules=False)."""


class Passing:
    """``clock`` is what handlers are told; ``publish`` takes the events of schedules."""

    def __init__(
        self,
        db: Database,
        bus: Bus,
        settings: Settings,
        clock: Clock,
        *,
        publish: Callable[[CloudEvent], Awaitable[object]],
    ) -> None:
        self._db, self._tenant, self._clock, self._publish = db, settings.tenant, clock, publish
        self._alarms = Alarms(db, bus, settings)
        self._schedules: Schedules | None = None
        self._start = partial(Schedules, db, bus, settings, lambda: clock.ahead)
        self._crons: list[Cron] = []
        self._published = clock.now()  # up to when the events of all schedules are out

    def follow(self, apps: Iterable[App]) -> None:
        """From now on start what is due: the runs of agents' schedules, and the events of the sensors of ``apps``."""
        self._schedules = self._start()
        self._crons = [sensor for app in apps for sensor in sensors_of(app) if isinstance(sensor, Cron)]
        self._published = self._clock.now()

    async def skip(self, duration: Duration, rest: Callable[[], Awaitable[None]]) -> None:
        """Let so much time pass, stopping wherever a timer or a schedule is due, until ``rest`` returns.

        Raises:
            BadDuration: it is no duration.
            TooFar: there are too many stops on the way.
        """
        left = seconds(duration)
        await self._check_ticks(self._clock.now() + left, duration)
        await rest()
        for _ in range(MOST_STOPS):
            wait = min(left, await self._next())
            await self._pass(wait)
            await rest()
            left -= wait
            if left <= 0:
                return
        raise TooFar(duration=duration, most=MOST_STOPS, what="timers and schedules")

    async def _next(self) -> float:
        """Seconds until something is due."""
        timer = await timers.next_due(self._db)
        schedule = None if self._schedules is None else await schedules.next_due(self._db, ahead=self._clock.ahead)
        now = self._clock.now()
        ticks = [tick for cron in self._crons if (tick := cron.after(self._published)) is not None]
        known = (one for one in (timer, schedule) if one is not None)
        waits = [math.inf, *known, *(max(tick - now, 0.0) for tick in ticks)]
        return min(waits)

    async def _pass(self, wait: float) -> None:
        await timers.bring_nearer(self._db, wait)
        self._clock.ahead += wait
        now = self._clock.now()
        for cron in self._crons:
            tick = cron.after(self._published)
            while tick is not None and tick <= now:
                await self._publish(cron.event(tick))
                tick = cron.after(tick)
        self._published = max(self._published, now)
        await self._alarms.fire()
        if self._schedules is not None:
            await self._schedules.fire()

    async def _check_ticks(self, until: float, duration: Duration) -> None:
        after: dict[str, After] = {cron.name: cron.after for cron in self._crons}
        if self._schedules is not None:
            for one in await schedules.list_schedules(self._db, self._tenant):
                after[one.name] = partial(occurrences.after, ScheduleSpec.model_validate(one.spec))
        for name, following in after.items():
            tick, ticks = following(self._published), 0
            while tick is not None and tick <= until and ticks <= MOST_STOPS:
                tick, ticks = following(tick), ticks + 1
            if ticks > MOST_STOPS:
                raise TooFar(duration=duration, most=MOST_STOPS, what=f"those of the schedule {name!r}")
