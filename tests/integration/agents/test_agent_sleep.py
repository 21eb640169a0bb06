"""Instances that sleep leave memory: by age, when it is short, and when others need the room; and come back by replay."""

from __future__ import annotations

from typing import Any

import pytest

from integration.agents.agent_app import app
from integration.agents.conftest import Exchange, Worker
from trunkline.domain.status import EnvelopeKind
from trunkline.observe import metrics
from trunkline.settings import Settings
from trunkline.store import leases
from trunkline.store.audit import audit

MANY = 1000


class Evicted:
    """How many left memory for each reason since the test began."""

    def __init__(self) -> None:
        self._before = {reason: self._count(reason) for reason in ("age", "memory", "full")}

    def __getitem__(self, reason: str) -> int:
        return self._count(reason) - self._before[reason]

    @staticmethod
    def _count(reason: str) -> int:
        return int(metrics.evictions.labels(reason=reason)._value.get())


@pytest.fixture
def evicted() -> Evicted:
    return Evicted()


def changed(exchange: Exchange, **settings: Any) -> Settings:
    return exchange.settings.model_copy(update=settings)


async def put_to_sleep(exchange: Exchange, *keys: str) -> dict[str, str]:
    """Runs that wait for a signal, by their instance's key."""
    return {key: await exchange.request("patient", key, key) for key in keys}


async def until_gone(exchange: Exchange, *keys: str) -> None:
    """Nobody holds these instances."""

    async def nobody() -> bool:
        owners = [await leases.owner_of(exchange.db, exchange.instance("patient", key)) for key in keys]
        return not any(owners)

    await exchange.eventually(nobody)


async def wake_up(exchange: Exchange, asleep: dict[str, str]) -> list[str]:
    for key, run in asleep.items():
        await exchange.post("patient", key, EnvelopeKind.SIGNAL, {"name": "go", "data": "on"}, run=run)
    return [str((await exchange.until(run, "completed", "failed")).output) for run in asleep.values()]


async def test_sleepers_leave_when_memory_is_short_and_come_back_by_replay(
    exchange: Exchange, evicted: Evicted
) -> None:
    async with Worker(changed(exchange, memory_limit=1, idle_after=600.0)):
        asleep = await put_to_sleep(exchange, "a", "b")
        await until_gone(exchange, "a", "b")
        assert await wake_up(exchange, asleep) == ["a on 2", "b on 2"]
    assert evicted["memory"] >= 2
    assert evicted["age"] == evicted["full"] == 0
    assert (await audit(exchange.db, "default")).violations == []
