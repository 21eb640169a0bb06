"""When a worker has enough to take up: whoever brings more gives way, and what only waits does not count. And when it
makes room for more. And what it forgets of those that it does not take up.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from trunkline.domain.ids import instance_id
from trunkline.domain.work import Wake
from trunkline.settings import Settings
from trunkline.store import leases, pauses
from trunkline_workers.agent.legacy import Legacy
from trunkline_workers.agent.registry import ENOUGH, MOST_WANTED, Registry


class Idle:
    """As much of an activation as is looked at."""

    idle, closed, touched = True, False, float("inf")

    def __init__(self, instance: str) -> None:
        self.lease = SimpleNamespace(instance=instance)


def registry(**settings: Any) -> Registry:
    office: Any = SimpleNamespace(settings=Settings(**settings), pauses={"paused"}, unread=None)
    agents: Any = {"busy": None, "paused": None}
    nothing: Any = None
    return Registry(nothing, nothing, office, agents)


def want(registry: Registry, agent: str, count: int) -> None:
    for number in range(count):
        registry.look(Wake(tenant="default", agent=agent, instance=instance_id("default", agent, str(number))))


async def test_it_is_behind_when_there_is_enough_for_a_while_and_not_full_before_long() -> None:
    mine = registry()
    want(mine, "busy", ENOUGH - 1)
    assert not mine.behind
    want(mine, "busy", ENOUGH)
    assert mine.behind
    assert not mine.full
    assert ENOUGH < MOST_WANTED


async def test_those_that_wait_for_their_agent_to_go_on_keep_nobody_back() -> None:
    mine = registry()
    want(mine, "paused", MOST_WANTED)
    want(mine, "busy", ENOUGH - 1)
    assert not mine.behind
    want(mine, "busy", ENOUGH)
    assert mine.behind


@pytest.mark.parametrize(("wanted", "leave"), [(0, 0), (1, 10)])
async def test_a_full_worker_makes_room_before_it_takes_others_up(
    monkeypatch: pytest.MonkeyPatch, wanted: int, leave: int
) -> None:
    """Who is taken up waits for no others to leave: a tenth is free, as long as somebody is wanted."""
    mine = registry(max_activations=100, memory_limit=1 << 50)
    held: dict[str, Any] = {str(number): Idle(str(number)) for number in range(100)}
    mine._held.update(held)
    left: list[str] = []

    async def release(activations: Any) -> None:
        left.extend(one.lease.instance for one in activations)

    monkeypatch.setattr(mine, "_release", release)
    want(mine, "busy", wanted)
    await mine._relieve()
    assert len(left) == leave


@pytest.mark.parametrize("agent", ["busy", "paused"])
async def test_what_was_left_for_an_instance_that_is_gone_or_rests_is_forgotten(
    monkeypatch: pytest.MonkeyPatch, agent: str
) -> None:
    mine = registry()

    async def room() -> int:
        return 10

    async def take(*_: object) -> tuple[list[Any], list[Any]]:
        return [], []

    async def resting(_: object, instances: Any) -> set[str]:
        return set(instances)

    monkeypatch.setattr(mine, "_room", room)
    monkeypatch.setattr(leases, "take", take)
    monkeypatch.setattr(pauses, "resting", resting)
    mine._left[instance_id("default", agent, "0")] = Legacy("a fault")
    want(mine, agent, 1)
    mine._office.worker = "me"
    await mine._take_wanted()
    assert mine._left == {}
