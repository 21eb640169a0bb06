"""Publishes an event at the times of a cron expression.

An event's identity is the schedule's name and the scheduled time: any number of replicas publish the same events, and a
sensor that was killed publishes its last one again without harm. A sensor that starts, or wakes up late, publishes the
latest time that it missed, if that was no more than ``LOOK_BACK`` ago; earlier ones are not made up.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from trunkline.domain.errors import BadDeclaration
from trunkline.domain.events import CloudEvent
from trunkline.domain.ids import check_name
from trunkline_sensors.base import Clock, Publish, SystemClock

LOOK_BACK = 60.0  # seconds


class Cron:
    """``schedule`` has five fields, or six with seconds first, and is read in the time zone ``tz`` (an IANA name).

    The event's data is ``data``, or ``{"scheduled_at": …}`` (ISO 8601, UTC) without it.

    Raises:
        BadDeclaration: the schedule or the time zone is not understood.
        BadName: the name is not a legal one.
    """

    def __init__(
        self,
        name: str,
        schedule: str,
        event_type: str,
        *,
        app: str,
        tz: str = "UTC",
        data: Any = None,
        clock: Clock | None = None,
    ) -> None:
        self.name = check_name("sensor", name)
        self.source = f"trunkline/cron/{app}/{name}"
        self._schedule, self._type, self._data = schedule, event_type, data
        self._zone = _zone(name, tz)
        self._clock = clock or SystemClock()
        self._check()

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
        found = next(CronSim(self._schedule, reached, reverse=True), None)
        return None if found is None else found.timestamp()

    def after(self, moment: float) -> float | None:
        """The first scheduled time after ``moment``."""
        found = next(CronSim(self._schedule, self._local(moment)), None)
        return None if found is None else found.timestamp()

    def event(self, due: float) -> CloudEvent:
        """The event of the scheduled time ``due``."""
        at = datetime.fromtimestamp(due, UTC)
        text = at.isoformat().replace("+00:00", "Z")
        data = {"scheduled_at": text} if self._data is None else self._data
        return CloudEvent(id=text, source=self.source, type=self._type, time=at, data=data)

    def _local(self, moment: float) -> datetime:
        return datetime.fromtimestamp(moment, self._zone)

    def _check(self) -> None:
        try:
            self.after(self._clock.now())
        except CronSimError as error:
            raise BadDeclaration(
                what=f"The cron schedule {self._schedule!r} of {self.name!r}",
                reason=str(error),
                fix='Write five fields (minute hour day month weekday), e.g. "*/5 * * * *".',
            ) from None


def _zone(name: str, tz: str) -> tzinfo:
    try:
        return ZoneInfo(tz) if tz != "UTC" else UTC
    except (KeyError, ValueError):
        raise BadDeclaration(
            what=f"The time zone {tz!r} of {name!r}", reason="it is unknown", fix='Write a name such as "Europe/Paris".'
        ) from None
