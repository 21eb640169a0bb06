"""On which line a worker beats, turn by turn."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import pytest

from trunkline.bus.subjects import Subjects
from trunkline.settings import Settings
from trunkline.store import workers
from trunkline_workers import membership
from trunkline_workers.membership import Membership

TURNS = 20


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
    sleep = asyncio.sleep

    async def beat(*_: object, **__: object) -> bool:
        seen["postgres"] += 1
        return True

    async def turn_over(_: float) -> None:
        seen["turns"] += 1
        if seen["turns"] == TURNS:
            await sleep(0)  # the last beat in Postgres
            enough.set()
            await asyncio.Event().wait()
        await sleep(0)
        await sleep(0)

    async def nothing(*_: object) -> None: ...

    monkeypatch.setattr(workers, "join", nothing)
    monkeypatch.setattr(workers, "leave", nothing)
    monkeypatch.setattr(workers, "beat", beat)
    monkeypatch.setattr(membership, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": turn_over}))
    bus = SimpleNamespace(connected=connected, subjects=Subjects("tl"), send=lambda *_: seen.update(["nats"]))
    member = Membership("tools", "app", Settings(metrics_port=-1), cast("Any", bus), cast("Any", None))
    member.held = held
    await member.start()
    await asyncio.wait_for(enough.wait(), 10)
    await member.stop()
    assert (seen["nats"], seen["postgres"]) == (nats, postgres)
