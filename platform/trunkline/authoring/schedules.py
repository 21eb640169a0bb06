"""Sensors that a program declares beside its agents; ``trunkline sensors APP`` runs them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from trunkline.domain.errors import BadDeclaration
from trunkline.domain.events import CloudEvent


@dataclass(frozen=True, slots=True)
class CronSpec:
    """Publish an event of ``event_type`` whenever ``schedule`` is due in the time zone ``tz``."""

    name: str
    schedule: str
    event_type: str
    tz: str = "UTC"
    data: Any = None


class SensorLike(Protocol):
    """A sensor of one's own: ``run`` publishes until it is cancelled."""

    @property
    def name(self) -> str: ...

    async def run(self, publish: Callable[[CloudEvent], Awaitable[None]]) -> None: ...


def check_schedule(what: str, schedule: str, tz: str) -> None:
    """Refuse a schedule or a time zone that cannot be understood.

    Raises:
        BadDeclaration: with what to write instead.
    """
    try:
        zone = UTC if tz == "UTC" else ZoneInfo(tz)
    except (KeyError, ValueError, OSError, TypeError):
        fix = 'Write a name such as "Europe/Paris"'
        raise BadDeclaration(what=what, reason=f"the time zone {tz!r} is unknown", fix=fix) from None
    try:
        CronSim(schedule, datetime.now(zone))
    except (CronSimError, AttributeError, TypeError) as error:
        raise BadDeclaration(
            what=what,
            reason=f"the schedule {schedule!r} is not understood ({error})",
            fix='Write five fields (minute hour day month weekday), such as "*/5 * * * *"',
        ) from None
