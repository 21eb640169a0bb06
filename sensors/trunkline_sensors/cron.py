"""Publishes an event at the times of a cron expression.

An event's identity is the schedule's name and the scheduled time: any number of replicas publish the same events, and a
sensor that was killed publishes its last one again without harm. A sensor that starts, or wakes up late, publishes the
latest time that it missed, if that was no more than ``LOOK_BACK`` ago; earlier ones are not made up.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from trunkline.authoring.schedules import CronSpec
from trunkline.domain.events import CloudEvent
from trunkline_sensors.base import Clock, Publish, SystemClock

LOOK_BACK = 60.0  # seconds


class Cron:
    """``spec`` was checked when it was declared. The event's data is the spec's, or ``{"scheduled_at": …}`` (ISO 8601,
    UTC) without it.
    """

    def __init__(self, spec: CronSpec, *, app: str, clock: Clock | None = None) -> None:
        self.name = spec.name
        self.source = f"trunkline/cron/{app}/{spec.name}"
        self._spec = spec
        self._zone = UTC if spec.tz == "UTC" else ZoneInfo(spec.tz)
        self._clock = clock or SystemClock()

    async def run(self, publish: Publish) -> None:
        """Publish at every scheduled time, until cancelled; ends only if no such time is left."""
        published = self._clock.now() - LOOK_BACK
        while True:
            now = self._clock.now()
            due = self.before(now)
            if due is not None and due > published:
                await publish(self.event(due))
                published = due
                continue
            following = self.after(now)
            if following is None:
                return
            await self._clock.until(following)

    def before(self, moment: float) -> float | None:
        """The latest scheduled time that is not after ``moment``."""
        reached = self._local(moment) + timedelta(microseconds=1)
        found = next(CronSim(self._spec.schedule, reached, reverse=True), None)
        return None if found is None else found.timestamp()

    def after(self, moment: float) -> float | None:
        """The first scheduled time after ``moment``."""
        found = next(CronSim(self._spec.schedule, self._local(moment)), None)
        return None if found is None else found.timestamp()

    def event(self, due: float) -> CloudEvent:
        """The event of the scheduled time ``due``."""
        at = datetime.fromtimestamp(due, UTC)
        text = at.isoformat().replace("+00:00", "Z")
        data = {"scheduled_at": text} if self._spec.data is None else self._spec.data
        return CloudEvent(id=text, source=self.source, type=self._spec.event_type, time=at, data=data)

    def _local(self, moment: float) -> datetime:
        return datetime.fromtimestamp(moment, self._zone)
