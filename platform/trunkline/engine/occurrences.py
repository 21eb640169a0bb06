"""When a schedule is due, which of its missed occurrences are made up for, and what an occurrence becomes as mail.

Times are seconds since the epoch. An occurrence is named by agent, schedule and due time: everything in its envelope
is derived from these, so that it is one run however often it is fired.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from itertools import takewhile
from string import Formatter
from zoneinfo import ZoneInfo

from cronsim import CronSim

from trunkline.domain.errors import BadKey
from trunkline.domain.ids import RunId, check_key, derived_id, instance_id
from trunkline.domain.mail import Envelope
from trunkline.domain.specs import ScheduleSpec
from trunkline.domain.status import EnvelopeKind
from trunkline.domain.ticks import Tick

LATE = 30.0  # seconds after which an occurrence counts as missed: a supervisor that takes over is no reason to skip one
SPAN = 3600.0  # seconds that are looked back over first
MOST = 100  # missed occurrences that are made up for at once, the newest


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done about a schedule that is due: ``fire`` these, oldest first; then it is due at ``following``.

    ``missed`` is the newest occurrence that is let go, if any is.
    """

    fire: list[float]
    missed: float | None
    following: float | None


def after(spec: ScheduleSpec, moment: float) -> float | None:
    """The first time after ``moment`` at which the schedule is due; ``None`` if there is none."""
    if spec.kind == "at":
        return spec.at if spec.at > moment else None
    if spec.kind == "every":
        following = math.floor(moment / spec.every + 1) * spec.every
        return following if following > moment else following + spec.every
    found = next(CronSim(spec.cron, datetime.fromtimestamp(moment, zone_of(spec))), None)
    return None if found is None else found.timestamp()


def plan(spec: ScheduleSpec, due: float, now: float) -> Plan:
    """What becomes of the occurrences from ``due`` to ``now``.

    Those of the last ``LATE`` seconds are fired in any case. Of the missed ones before them ``skip`` fires none,
    ``once`` the newest, if nothing else is fired, and ``all`` every one, but no more than ``MOST`` altogether.
    """
    newest = _back(spec, due, now)
    if spec.missed == "all":
        fire, missed = newest[:MOST], newest[MOST:]
    else:
        fire = [at for at in newest if at >= now - LATE]
        if spec.missed == "once" and not fire:
            fire = newest[:1]
        missed = newest[len(fire) :]
    return Plan(fire[::-1], missed[0] if missed else None, after(spec, now))


def _back(spec: ScheduleSpec, due: float, now: float) -> list[float]:
    """The newest of the occurrences from ``due`` to ``now``, newest first: one more than are ever fired."""
    if spec.kind == "at":
        return [spec.at] if due <= spec.at <= now else []
    if spec.kind == "every":
        last = math.floor(now / spec.every)
        reached = (number * spec.every for number in range(last, last - MOST - 1, -1))
        return list(takewhile(lambda at: at >= due, reached))
    return _back_by_cron(spec, due, now)


def _back_by_cron(spec: ScheduleSpec, due: float, now: float) -> list[float]:
    """The same, looking forward from ever further back: backwards cronsim passes some by where clocks are set back by
    half an hour.
    """
    span = SPAN
    while True:
        since = max(due, now - span)
        begin = datetime.fromtimestamp(since - 1.0, zone_of(spec))
        reached = takewhile(lambda at: at <= now, (at.timestamp() for at in CronSim(spec.cron, begin)))
        newest = deque((at for at in reached if at >= since), MOST + 1)
        if len(newest) > MOST or since == due:
            return list(newest)[::-1]
        span *= 2


def envelope(tenant: str, agent: str, spec: ScheduleSpec, due: float) -> Envelope:
    """The request that the occurrence becomes.

    Raises:
        BadKey: the schedule's ``key`` does not come to a legal one.
    """
    at = datetime.fromtimestamp(due, zone_of(spec))
    key = key_of(agent, spec, at)
    message_id = f"schedule:{spec.name}:{due:.3f}"
    tick = Tick(due_at=at, schedule=spec.name).model_dump(mode="json") if spec.tick else None
    return Envelope(
        tenant=tenant,
        agent=agent,
        key=key,
        message_id=message_id,
        kind=EnvelopeKind.REQUEST,
        run=RunId(derived_id("schedule-run", instance_id(tenant, agent, key), message_id)),
        body={"input": tick, "handler": "", "parent": None, "due": due},
    )


def key_of(agent: str, spec: ScheduleSpec, at: datetime) -> str:
    """The key of the instance that handles the occurrence ``at``: the schedule's name, unless it says otherwise.

    Raises:
        BadKey: it names what there is not, or comes to no legal key.
    """
    if not spec.key:
        return check_key(spec.name)
    try:
        for _, name, form, conversion in Formatter().parse(spec.key):
            if name not in (None, "agent", "schedule", "due_at") or conversion or (form and name != "due_at"):
                raise BadKey(value=spec.key, reason="it may name {agent}, {schedule} and {due_at:%Y-%m-%d}")
        return check_key(spec.key.format(agent=agent, schedule=spec.name, due_at=at))
    except ValueError as error:
        raise BadKey(value=spec.key, reason=str(error)) from None


def zone_of(spec: ScheduleSpec) -> tzinfo:
    """The time zone in which the schedule's times are told."""
    return UTC if spec.tz == "UTC" else ZoneInfo(spec.tz)
