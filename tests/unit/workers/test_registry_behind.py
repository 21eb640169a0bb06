"""When a worker has enough to take up: whoever brings more gives way, and what only waits does not count."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from trunkline.domain.ids import instance_id
from trunkline.domain.work import Wake
from trunkline.settings import Settings
from trunkline_workers.agent.registry import ENOUGH, MOST_WANTED, Registry


def registry() -> Registry:
    office: Any = SimpleNamespace(settings=Settings(), pauses={"paused"}, unread=None)
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
