"""Cron: right times, one identity a time, and nothing published twice or in floods, whatever the clock does."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Self

from trunkline.authoring.schedules import CronSpec
from trunkline.domain.events import CloudEvent
from trunkline_sensors.cron import LOOK_BACK, Cron


class TestClock:
    """Time goes on only when the test says so."""

    __test__ = False

    def __init__(self, now: float) -> None:
        self._now = now
        self._moved = asyncio.Condition()
        self.awaited: asyncio.Queue[float] = asyncio.Queue()

    def now(self) -> float:
        return self._now

    async def until(self, when: float) -> None:
        await self.awaited.put(when)
        async with self._moved:
            await self._moved.wait_for(lambda: self._now >= when)

    async def move(self, to: float) -> None:
        async with self._moved:
            self._now = to
            self._moved.notify_all()


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def utc(moment: float | None) -> str:
    assert moment is not None
    return datetime.fromtimestamp(moment, UTC).isoformat()


class Running:
    """A cron sensor at work, and what it published."""

    def __init__(self, cron: Cron) -> None:
        self.events: asyncio.Queue[CloudEvent] = asyncio.Queue()
        self.task = asyncio.create_task(cron.run(self.events.put))

    async def published(self) -> str:
        return (await asyncio.wait_for(self.events.get(), 5)).id

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def asleep(clock: TestClock) -> float:
    return await asyncio.wait_for(clock.awaited.get(), 5)


def minutely(clock: TestClock) -> Cron:
    return Cron(CronSpec("sweep", "* * * * *", "sweep.due"), app="shop", clock=clock)


async def test_one_event_a_time() -> None:
    clock = TestClock(at("2026-05-01T12:00:30Z"))
    async with Running(minutely(clock)) as running:
        assert await running.published() == "2026-05-01T12:00:00Z"
        for minute in (1, 2, 3):
            due = await asleep(clock)
            assert utc(due) == f"2026-05-01T12:0{minute}:00+00:00"
            await clock.move(due)
            assert await running.published() == f"2026-05-01T12:0{minute}:00Z"
        await asleep(clock)
        assert running.events.empty()


async def test_replicas_and_restarts_give_the_same_identity() -> None:
    clock = TestClock(at("2026-05-01T12:00:01Z"))
    async with Running(minutely(clock)) as one, Running(minutely(clock)) as other:
        assert await one.published() == await other.published()
    event = minutely(clock).event(at("2026-05-01T12:00:00Z"))
    assert (event.source, event.id) == ("trunkline/cron/shop/sweep", "2026-05-01T12:00:00Z")
    assert event.identity == minutely(TestClock(0)).event(at("2026-05-01T12:00:00Z")).identity


async def test_after_a_long_sleep_only_the_latest_missed_time_counts() -> None:
    clock = TestClock(at("2026-05-01T12:00:00Z"))
    async with Running(minutely(clock)) as running:
        await running.published()
        await asleep(clock)
        await clock.move(at("2026-05-08T03:04:05Z"))
        assert await running.published() == "2026-05-08T03:04:00Z"
        assert utc(await asleep(clock)) == "2026-05-08T03:05:00+00:00"
        assert running.events.empty()


async def test_a_clock_set_back_repeats_nothing() -> None:
    clock = TestClock(at("2026-05-01T12:00:00Z"))
    async with Running(minutely(clock)) as running:
        await running.published()
        due = await asleep(clock)
        await clock.move(due)
        await running.published()
        await asleep(clock)
        clock._now = at("2026-05-01T11:30:00Z")
        await clock.move(at("2026-05-01T12:02:00Z"))
        assert await running.published() == "2026-05-01T12:02:00Z"
        assert running.events.empty()


async def test_a_start_looks_back_only_so_far() -> None:
    clock = TestClock(at("2026-05-01T12:00:00Z") + LOOK_BACK)
    async with Running(Cron(CronSpec("noon", "0 12 * * *", "noon"), app="shop", clock=clock)) as running:
        assert utc(await asleep(clock)) == "2026-05-02T12:00:00+00:00"
        assert running.events.empty()


def test_clock_changes_give_each_day_one_event() -> None:
    cron = Cron(CronSpec("night", "30 2 * * *", "night", tz="Europe/Berlin"), app="shop", clock=TestClock(0))
    autumn, times = at("2026-10-23T12:00:00Z"), []
    for _ in range(3):
        following = cron.after(autumn)
        assert following is not None
        autumn = following
        times.append(utc(autumn))
    assert times == ["2026-10-24T00:30:00+00:00", "2026-10-25T00:30:00+00:00", "2026-10-26T01:30:00+00:00"]


def test_seconds_and_data() -> None:
    cron = Cron(CronSpec("fast", "*/5 * * * * *", "fast", data={"a": 1}), app="shop", clock=TestClock(0))
    assert utc(cron.after(at("2026-05-01T12:00:00Z"))) == "2026-05-01T12:00:05+00:00"
    assert cron.event(0.0).data == {"a": 1}
    assert cron.event(0.0).id == "1970-01-01T00:00:00Z"
