"""On which line a worker beats, turn by turn, and how long it waits between two beats."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import pytest

from trunkline.bus.subjects import Subjects
from trunkline.observe import watchdog
from trunkline.settings import Settings
from trunkline.store import workers
from trunkline_workers import membership
from trunkline_workers.membership import Membership

TURNS = 20
LONG = 1000.0  # seconds that no test lasts
PATIENCE = 10.0


def _member(settings: Settings, *, connected: bool = True, seen: Counter[str] | None = None) -> Membership:
    said: Counter[str] = Counter() if seen is None else seen
    bus = SimpleNamespace(connected=connected, subjects=Subjects("tl"), send=lambda *_: said.update(["nats"]))
    return Membership("tools", "app", settings, cast("Any", bus), cast("Any", None))


@pytest.mark.parametrize(
    ("held", "connected", "nats", "postgres"),
    [(0, True, TURNS // 2, TURNS // 2), (1, True, TURNS, TURNS), (0, False, 0, TURNS), (1, False, 0, TURNS)],
    ids=["idle", "busy", "idle, cut off", "busy, cut off"],
)
async def test_who_holds_something_beats_on_both_lines_and_who_is_cut_off_through_postgres(
    held: int, connected: bool, nats: int, postgres: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: Counter[str] = Counter()
    enough = asyncio.Event()
    member = _member(Settings(metrics_port=-1), connected=connected, seen=seen)
    member.held = held

    async def beat(*_: object, **__: object) -> bool:
        seen["postgres"] += 1
        return True

    async def turn_over(_: Membership) -> None:
        seen["turns"] += 1
        await asyncio.sleep(0)  # for the beat in Postgres
        await asyncio.sleep(0)
        if seen["turns"] == TURNS:
            enough.set()
            await asyncio.Event().wait()

    async def nothing(*_: object) -> None: ...

    monkeypatch.setattr(workers, "join", nothing)
    monkeypatch.setattr(workers, "leave", nothing)
    monkeypatch.setattr(workers, "beat", beat)
    monkeypatch.setattr(Membership, "_pause", turn_over)
    now = SimpleNamespace(monotonic=lambda: seen["turns"] * member._at_rest, time=lambda: 0.0)
    monkeypatch.setattr(membership, "time", now)
    await member.start()
    await asyncio.wait_for(enough.wait(), PATIENCE)
    await member.stop()
    assert (seen["nats"], seen["postgres"]) == (nats, postgres)


@pytest.mark.parametrize(
    ("heartbeat", "lease", "at_rest"), [(0.2, 1.0, 0.3), (0.1, 1.0, 0.15), (0.3, 1.0, 0.3), (0.4, 1.0, 0.4)]
)
def test_at_rest_it_is_heard_thrice_in_a_lease_and_never_more_often_than_at_work(
    heartbeat: float, lease: float, at_rest: float
) -> None:
    assert _member(Settings(metrics_port=-1, heartbeat=heartbeat, lease=lease))._at_rest == pytest.approx(at_rest)


async def test_of_the_first_thing_that_it_holds_it_tells_at_once() -> None:
    member = _member(Settings(metrics_port=-1, heartbeat=0.01, lease=LONG))
    member._at_rest = LONG
    pausing = asyncio.create_task(member._pause())
    await asyncio.sleep(0)
    assert not pausing.done()
    member.held = 1
    assert watchdog.in_hand, "and its loop is watched closely from now on"
    await asyncio.wait_for(pausing, PATIENCE)
    member.held = 0
    assert not watchdog.in_hand


async def test_however_often_it_comes_to_hold_something_it_beats_no_more_often_than_at_work() -> None:
    member = _member(Settings(metrics_port=-1, heartbeat=LONG, lease=LONG))
    pausing = asyncio.create_task(member._pause())
    for number in range(100):
        member.held = number % 2
        await asyncio.sleep(0)
    assert not pausing.done()
    pausing.cancel()
    await asyncio.gather(pausing, return_exceptions=True)
    member.held = 0
