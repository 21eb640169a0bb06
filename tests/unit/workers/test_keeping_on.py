"""What a worker does again and again goes on after an error that nobody foresaw."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from trunkline.settings import Settings
from trunkline.store import at_hand as store_at_hand
from trunkline.store import pauses, workers
from trunkline.store.at_hand import AtHand
from trunkline.store.database import Unreachable
from trunkline_workers.agent import at_hand
from trunkline_workers.agent.definitions import Definitions
from trunkline_workers.agent.pauses import Pauses
from trunkline_workers.membership import Membership
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


async def test_what_others_decide_is_read_on_after_errors_and_what_is_wrong_with_one_part_keeps_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = ("default", "orders", "order.placed", "", "")
    readings = iter(
        [
            AtHand([], {}, ["orders"]),
            PermissionError("permission denied for table pauses"),
            Unreachable(reason="it is away"),
            AtHand([("a row", "of a later version")], {}, []),  # type: ignore[list-item]
            AtHand([row], {}, []),
        ]
    )
    last, resumed = asyncio.Event(), asyncio.Event()

    async def look(*_: object) -> AtHand:
        found = next(readings, None)
        if found is None:
            last.set()
            await asyncio.Event().wait()
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, AtHand)
        return found

    async def waiting(*_: object) -> list[str]:
        return []

    monkeypatch.setattr(store_at_hand, "look", look)
    monkeypatch.setattr(pauses, "waiting", waiting)
    monkeypatch.setattr(at_hand, "REFRESH", 0.01)
    db = cast("Any", None)
    routes, paused = Routes(db), Pauses(db, "default")
    paused.resumed = lambda *_: (resumed.set(), seen.append(routes.known("default", "order.placed")))
    seen: list[bool] = []
    known = at_hand.AtHand(db, "default", routes, Definitions(db, "default", ()), paused)
    await known.start()
    assert "orders" in paused
    await asyncio.wait_for(resumed.wait(), PATIENCE)
    assert seen == [False], "the subscriptions that came with the resumption could not be read"
    await asyncio.wait_for(last.wait(), PATIENCE)
    await known.stop()
    assert "orders" not in paused
    assert routes.known("default", "order.placed")


async def test_a_reading_of_subscriptions_that_was_overtaken_changes_nothing() -> None:
    routes = Routes(cast("Any", None))
    await routes.take([("default", "orders", "order.placed", "", "")], 2.0)
    await routes.take([], 1.0)
    assert routes.known("default", "order.placed")
    assert routes.loaded_at == 2.0
