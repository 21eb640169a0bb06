"""What an agent worker holds is told at once, and looked after; while it holds nothing, nobody is woken for it."""

from __future__ import annotations

import asyncio
import math
from types import SimpleNamespace
from typing import Any, cast

import pytest

from trunkline.settings import Settings
from trunkline_workers.agent import registry as module
from trunkline_workers.agent.registry import Registry

PATIENCE = 10.0


async def test_it_sweeps_from_the_first_instance_until_the_last_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SWEEP", 0.001)
    told: asyncio.Queue[int] = asyncio.Queue()
    office = SimpleNamespace(settings=Settings(), unread=None, held=told.put_nowait)
    registry = Registry(cast("Any", None), cast("Any", None), cast("Any", office), {})
    parts = registry.start()
    at_work = SimpleNamespace(due=math.inf, touched=math.inf, closed=False, idle=False, close=lambda: None)
    for _ in range(2):
        await asyncio.sleep(0.02)  # twenty sweeps, if there were any
        assert told.empty()
        assert registry.empty
        registry._held["i"] = cast("Any", at_work)
        registry._occupied.set()
        assert [await asyncio.wait_for(told.get(), PATIENCE) for _ in range(3)] == [1, 1, 1]
        del registry._held["i"]
        while await asyncio.wait_for(told.get(), PATIENCE):
            pass
    await registry.stop()
    assert all(part.done() for part in parts)
