"""When an agent is started by the clock: ``Cron``, ``Every`` and ``At``, for ``@app.agent(…, schedule=…)``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from trunkline.authoring.names import check_duration, checked
from trunkline.authoring.schedules import check_schedule
from trunkline.authoring.schema import Shape
from trunkline.domain.durations import Duration
from trunkline.domain.errors import BadDeclaration, BadInput, BadKey
from trunkline.domain.specs import ScheduleSpec
from trunkline.domain.ticks import Tick
from trunkline.engine.occurrences import envelope, key_of

Missed = Literal["skip", "once", "all"]

SHORTEST = 1.0  # seconds between two occurrences
MOST_NAME = 200  # characters


@dataclass(frozen=True, kw_only=True)
class Options:
    """What all schedules have.

    * ``missed`` says what happens to occurrences that were due while no supervisor ran, for more than half a minute:
      ``"skip"`` lets them go, ``"once"`` makes up for all of them with one run, the newest's, and ``"all"`` starts a
      run for each, the newest hundred at most. What was due before the schedule was first declared was not missed.
    * ``key`` is the key of the instance that handles the runs; ``{due_at:%Y-%m-%d}`` (in the schedule's time zone; any
      of strftime's signs), ``{schedule}`` and ``{agent}`` are filled in. Without it, it is the schedule's name: the
      runs of a schedule are one instance's, one after the other.
    * ``name`` is what it is called, once in an agent. An occurrence is known by agent, name and due time: a schedule
      that keeps its name is the same one, also with another time.
    """

    missed: Missed = "once"
    key: str = ""
    name: str = ""


@dataclass(frozen=True)
class Cron(Options):
    """At the times of a cron expression: five fields, or six with seconds first; on the clock of the time zone ``tz``.

    A time that a change of clocks leaves out comes right after the gap; one that comes twice is due once.
    """

    expression: str
    tz: str = field(default="UTC", kw_only=True)


@dataclass(frozen=True)
class Every(Options):
    """In equal steps, a second or more, counted from 1970 in UTC: ``Every("15m")`` is due at every quarter of an hour,
    whenever it was declared and whoever carries it out.
    """

    interval: Duration


@dataclass(frozen=True)
class At(Options):
    """Once. A time that has passed when it is first declared is never due."""

    moment: datetime


Schedule = Cron | Every | At


def timetable(
    what: str, given: Schedule | Sequence[Schedule], agent: str, input_: Shape[object]
) -> tuple[ScheduleSpec, ...]:
    """The schedules as data. ``input_`` is what the agent's handler takes.

    Raises:
        BadDeclaration: one of them is not understood, or the handler cannot take what it gives.
    """
    tick = input_.annotation is not type(None)
    one_or_more = (given,) if isinstance(given, Options) else tuple(given)
    specs = tuple(_spec(what, schedule, tick) for schedule in one_or_more)
    for spec in specs:
        _check(what, spec, agent, input_)
    if len({spec.name for spec in specs}) < len(specs):
        raise BadDeclaration(what=what, reason="two of its schedules have one name", fix='Name them: name="early"')
    return specs


def _spec(what: str, schedule: object, tick: bool) -> ScheduleSpec:
    fields: dict[str, object] = {}
    if isinstance(schedule, Cron):
        check_schedule(what, schedule.expression, schedule.tz)
        fields = {"kind": "cron", "cron": schedule.expression, "tz": schedule.tz}
        name = f"cron {schedule.expression} {schedule.tz}"
    elif isinstance(schedule, Every):
        fields = {"kind": "every", "every": _interval(what, schedule.interval)}
        name = f"every {schedule.interval}"
    elif isinstance(schedule, At):
        at = _moment(what, schedule.moment)
        fields = {"kind": "at", "at": at.timestamp()}
        name = f"at {at.isoformat()}"
    else:
        fix = 'Write schedule=Cron("0 2 * * *", tz="Europe/Berlin"), Every("15m") or At(datetime(…, tzinfo=UTC))'
        raise BadDeclaration(what=what, reason=f"{schedule!r} is no schedule", fix=fix)
    if not isinstance(schedule.name, str) or len(schedule.name or name) > MOST_NAME or "\x00" in schedule.name:
        fix = f"Write 1 to {MOST_NAME} characters of text"
        raise BadDeclaration(what=what, reason="the name of a schedule is not usable", fix=fix)
    named = {"name": schedule.name or name, "missed": schedule.missed, "key": schedule.key, "tick": tick}
    return checked(what, ScheduleSpec, **fields, **named)


def _interval(what: str, interval: Duration) -> float:
    length = check_duration(what, "Every", interval)
    if length < SHORTEST:
        raise BadDeclaration(what=what, reason=f"Every({interval!r}) is below a second", fix='Write Every("1s")')
    return length


def _moment(what: str, moment: object) -> datetime:
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        fix = "Write At(datetime(2031, 2, 3, 12, 0, tzinfo=UTC))"
        raise BadDeclaration(what=what, reason=f"At({moment!r}) is no time with a time zone", fix=fix)
    return moment.astimezone(UTC)


def _check(what: str, spec: ScheduleSpec, agent: str, input_: Shape[object]) -> None:
    """See that an occurrence has a key, and that the handler can take it."""
    sample = datetime(2030, 6, 15, tzinfo=UTC)
    try:
        key_of(agent, spec, sample)
        input_.decode(envelope("", agent, spec, sample.timestamp()).body["input"])
    except BadKey as error:
        fix = 'Write key="{due_at:%Y-%m-%d}", or leave it out'
        raise BadDeclaration(what=what, reason=f"the key of its schedule: {error}".rstrip("."), fix=fix) from None
    except BadInput:
        fix = f"Write tick: {Tick.__name__}, or nothing: None"
        raise BadDeclaration(what=what, reason="it has a schedule, and its input is no Tick", fix=fix) from None
