"""A worker that was paused and declared dead must end by itself: one that goes on is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from trunkline.chaos.plan import Action, Part, Strike
from trunkline.chaos.striking import Striker, Struck


@pytest.mark.parametrize(
    ("action", "pids", "alive", "zombie"),
    [
        (Action.PAUSE, {"agents.1": 5}, [], True),
        (Action.PAUSE, {"agents.1": 5}, ["w"], False),  # nobody declared it dead
        (Action.PAUSE, {"agents.1": 6}, [], False),  # it ended, and was started again
        (Action.PAUSE, {}, [], False),
        (Action.KILL, {"agents.1": 5}, [], False),
    ],
)
async def test_who_goes_on_after_its_death(
    action: Action, pids: dict[str, int], alive: list[str], zombie: bool
) -> None:
    async def workers(_: Part) -> list[Any]:
        return [SimpleNamespace(worker=name) for name in alive]

    exchange: Any = SimpleNamespace(children=SimpleNamespace(pids=pids), workers=workers)
    striker = Striker(exchange, SimpleNamespace(), 1.0, lambda _: None)  # type: ignore[arg-type]
    struck = Struck(Strike(action, Part.AGENTS), "agents.1", 0.0, worker="w", pid=5)
    striker.struck.append(struck)
    assert await striker.zombies(0.0) == ([struck] if zombie else [])
