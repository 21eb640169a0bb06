"""Schedules on the clocks of real time zones, over the days on which these change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from trunkline.domain.specs import ScheduleSpec
from trunkline.engine.occurrences import LATE, MOST, after, plan

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia",
         "America/Havana", "Africa/Casablanca"]  # fmt: skip

HALF_AN_HOUR_BACK = ScheduleSpec(name="s", kind="cron", cron="30 */2 * * *", tz="Australia/Lord_Howe", missed="all")


def first(year: int, month: int) -> int:
    """The beginning of the month."""
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp())


zones = st.sampled_from(ZONES)
# Clocks change in these months, on either half of the globe; Apia left out a whole day in December 2011.
moments = st.one_of(
    *(st.integers(first(year, month), first(year, month) + 28 * 86400)
      for year, month in [(2011, 12), (2025, 3), (2025, 4), (2025, 10), (2026, 3), (2026, 11)])
).map(float)  # fmt: skip
crons = st.one_of(
    st.tuples(st.integers(0, 59), st.integers(0, 23)).map(lambda at: f"{at[0]} {at[1]} * * *"),
    st.sampled_from(["*/15 * * * *", "0 * * * *", "30 */2 * * *", "0 0 * * 0", "5 1-3 * * *", "*/20 2 * * *"]),
)


@st.composite
def schedules(draw: st.DrawFn, missed: str = "all") -> ScheduleSpec:
    if draw(st.booleans()):
        return ScheduleSpec(name="s", kind="cron", cron=draw(crons), tz=draw(zones), missed=missed)
    every = draw(st.sampled_from([60.0, 900.0, 3600.0, 7.5, 1.1, 86400.0]))
    return ScheduleSpec(name="s", kind="every", every=every, missed=missed)


def forward(spec: ScheduleSpec, moment: float, count: int) -> list[float]:
    found = []
    for _ in range(count):
        following = after(spec, moment)
        assert following is not None
        assert following > moment, "time goes forward, whatever the clocks do"
        found.append(moment := following)
    return found


@given(schedules(), moments, st.integers(1, 60))
def test_looking_back_finds_what_looking_forward_did(spec: ScheduleSpec, start: float, count: int) -> None:
    ticks = forward(spec, start, count + 1)
    [*past, coming] = ticks
    now = (past[-1] + coming) / 2
    planned = plan(spec, past[0], now)
    assert planned.fire == past
    assert planned.following == coming
    assert planned.missed is None


@example(HALF_AN_HOUR_BACK, 1743465600.0, [401400.0])
@given(schedules(), moments, st.lists(st.floats(1, 5 * 86400), min_size=1, max_size=8))
def test_every_occurrence_has_one_look_that_fires_it(spec: ScheduleSpec, start: float, pauses: list[float]) -> None:
    due, now, fired, bounded = after(spec, start), start, [], False
    for pause in pauses:
        now += pause
        if due is not None and due <= now:
            planned = plan(spec, due, now)
            fired += planned.fire
            due, bounded = planned.following, bounded or planned.missed is not None
    assert fired == sorted(set(fired))
    if not bounded:
        expected, at = [], after(spec, start)
        while at is not None and at <= now:
            expected.append(at)
            at = after(spec, at)
        assert fired == expected


@given(zones.filter(lambda tz: tz != "Pacific/Apia"), st.integers(0, 59), st.integers(0, 23), moments)
def test_a_daily_time_is_due_once_a_day_on_the_clocks_of_its_zone(
    tz: str, minute: int, hour: int, start: float
) -> None:
    """Where no whole day was left out: its occurrence comes right after the gap, on the next day."""
    spec = ScheduleSpec(name="s", kind="cron", cron=f"{minute} {hour} * * *", tz=tz)
    zone = ZoneInfo(tz)
    ticks = [datetime.fromtimestamp(at, zone) for at in forward(spec, start, 30)]
    assert all(other.date() - one.date() == timedelta(days=1) for one, other in pairwise(ticks))
    for tick in ticks:
        asked = datetime(tick.year, tick.month, tick.day, hour, minute, tzinfo=zone)
        if there_is(asked):
            assert (tick.hour, tick.minute) == (hour, minute)
        else:
            assert timedelta() < tick.replace(tzinfo=None) - asked.replace(tzinfo=None) <= timedelta(hours=1)


@given(schedules("once"), moments, st.floats(0, 30 * 86400))
def test_once_makes_up_with_the_newest_and_skip_with_none(spec: ScheduleSpec, start: float, away: float) -> None:
    due = after(spec, start)
    assert due is not None
    now = due + away
    all_ = plan(spec.model_copy(update={"missed": "all"}), due, now)
    once, skip = plan(spec, due, now), plan(spec.model_copy(update={"missed": "skip"}), due, now)
    punctual = [at for at in all_.fire if at >= now - LATE]
    assert skip.fire == punctual
    assert once.fire == (punctual or all_.fire[-1:])
    assert len(all_.fire) <= MOST
    assert skip.following == once.following == all_.following
    dropped = len(all_.fire) - len(skip.fire) > 0 or all_.missed is not None
    assert (skip.missed is not None) == dropped, "what is let go is told"


def there_is(local: datetime) -> bool:
    """Whether the zone's clocks ever show this time."""
    return local.astimezone(UTC).astimezone(local.tzinfo).replace(tzinfo=None) == local.replace(tzinfo=None)
