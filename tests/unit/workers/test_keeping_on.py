"""What a worker does again and again goes on after an error that nobody foresaw."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from trunkline.domain.specs import Subscription
from trunkline.settings import Settings
from trunkline.store import pauses, workers
from trunkline_workers import keeping
from trunkline_workers.agent.pauses import Pauses
from trunkline_workers.membership import Membership
from trunkline_workers.router import routes
from trunkline_workers.router.routes import Routes

PATIENCE = 5.0


class NoBus:
    connected = False


async def test_a_worker_that_could_not_beat_still_learns_of_its_death(monkeypatch: pytest.MonkeyPatch) -> None:
    beats = 0

    async def join(*_: object) -> None:
        return None

    async def beat(*_: object, **__: object) -> bool:
        nonlocal beats
        beats += 1
        if beats == 1:
            raise PermissionError("permission denied for table workers")
        return False

    monkeypatch.setattr(workers, "join", join)
    monkeypatch.setattr(workers, "beat", beat)
    settings = Settings(metrics_port=-1, heartbeat=0.01)
    member = Membership("tools", "app", settings, cast("Any", NoBus()), cast("Any", None))
    await member.start()
    await asyncio.wait_for(member.dead.wait(), PATIENCE)
    await member.stop()


async def test_a_router_that_could_not_read_subscriptions_reads_them_again(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = 0
    read = asyncio.Event()

    async def subscriptions(_: object) -> dict[str, list[Subscription]]:
        nonlocal readings
        readings += 1
        if readings == 2:
            raise ValueError("a row of a later version")
        if readings == 3:
            read.set()
        return {"default": [Subscription(agent="orders", event_type="order.placed")]} if readings > 2 else {}

    monkeypatch.setattr(routes, "subscriptions", subscriptions)
    monkeypatch.setattr(keeping, "REFRESH", 0.01)
    known = Routes(cast("Any", None))
    await known.start()
    await asyncio.wait_for(read.wait(), PATIENCE)
    await known.stop()
    assert known.known("default", "order.placed")


async def test_a_worker_that_could_not_read_pauses_hears_of_the_resumption(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = 0
    resumed = asyncio.Event()

    async def paused(*_: object) -> dict[str, object]:
        nonlocal readings
        readings += 1
        if readings == 2:
            raise PermissionError("permission denied for table pauses")
        return {"orders": None} if readings == 1 else {}

    async def waiting(*_: object) -> list[str]:
        return []

    monkeypatch.setattr(pauses, "paused", paused)
    monkeypatch.setattr(pauses, "waiting", waiting)
    monkeypatch.setattr(keeping, "REFRESH", 0.01)
    known = Pauses(cast("Any", None), "default")
    known.resumed = lambda *_: resumed.set()
    await known.start()
    assert "orders" in known
    await asyncio.wait_for(resumed.wait(), PATIENCE)
    await known.stop()
    assert "orders" not in known
