"""Sleepers leave memory by age, when it is short, and when others need the room; they come back by replay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from integration.agents.conftest import Exchange, Worker
from integration.agents.hands import Hands, hands
from trunkline.domain.status import EnvelopeKind
from trunkline.engine.replay import RunDriver
from trunkline.observe import metrics
from trunkline.settings import Settings
from trunkline.store import leases
from trunkline.store.audit import audit
from trunkline_workers.agent.activation import Activation

__all__ = ["hands"]

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


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Nothing is freed but by its last reference."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def in_memory(*types: type) -> int:
    return sum(isinstance(one, types) for one in gc.get_objects())


def changed(exchange: Exchange, **settings: Any) -> Settings:
    return exchange.settings.model_copy(update=settings)


async def put_to_sleep(exchange: Exchange, *keys: str) -> dict[str, str]:
    """Runs that wait for a signal, by their instance's key."""
    asleep = {key: await exchange.request("patient", key, key) for key in keys}
    for run in asleep.values():
        await exchange.until(run, "waiting")
    return asleep


async def until_gone(exchange: Exchange, *keys: str) -> None:
    """Nobody holds these instances."""

    async def nobody() -> bool:
        owners = [await leases.owner_of(exchange.db, exchange.instance("patient", key)) for key in keys]
        return not any(owners)

    await exchange.eventually(nobody)


async def held(exchange: Exchange) -> int:
    async with exchange.db.connection() as connection:
        cursor = await connection.execute("select count(*) from instances where owner is not null")
        [count] = await cursor.fetchone() or [0]
    return int(count)


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


async def test_a_worker_full_of_sleepers_takes_up_others(exchange: Exchange, evicted: Evicted) -> None:
    keys = [f"k{n}" for n in range(MANY)]
    async with Worker(changed(exchange, max_activations=100, idle_after=600.0)):
        asleep = await put_to_sleep(exchange, *keys)
        assert await held(exchange) <= 100
        assert evicted["full"] >= MANY - 100
        assert sorted(await wake_up(exchange, asleep)) == sorted(f"{key} on 2" for key in keys)
    assert evicted["age"] == evicted["memory"] == 0
    assert (await audit(exchange.db, "default")).violations == []


async def test_a_worker_full_of_work_waits_until_something_sleeps(exchange: Exchange, hands: Hands) -> None:
    """Two that are at work have all the room there is; a third is taken up when one of them has ended."""
    async with Worker(changed(exchange, max_activations=2, idle_after=600.0)):
        first, second = await exchange.request("finder", "1", 1), await exchange.request("finder", "2", 2)
        items = [await hands.item(), await hands.item()]
        third = await exchange.request("patient", "third", "third")
        await hands.answer(items[0], "done")
        await exchange.until(third, "waiting")
        await hands.answer(items[1], "done")
        await exchange.until(first, "completed")
        await exchange.until(second, "completed")


async def test_those_who_ask_make_room_for_those_whom_they_ask(exchange: Exchange) -> None:
    """Each of them holds a place until its child has answered; there are ten times as many as places."""
    async with Worker(changed(exchange, max_activations=4, idle_after=600.0)):
        asking = [await exchange.request("parent", f"k{n}", n) for n in range(40)]
        for number, run in enumerate(asking):
            assert (await exchange.until(run, "completed")).output == 4 * number + 2 + 4 * number
    assert (await audit(exchange.db, "default")).violations == []


async def test_a_worker_full_of_queues_hears_what_would_free_it(exchange: Exchange) -> None:
    async with Worker(changed(exchange, max_activations=2, idle_after=600.0)):
        asleep = await put_to_sleep(exchange, "a", "b")
        behind = [await exchange.request("patient", key, "next") for key in ("a", "b")]
        assert (await exchange.until(await exchange.request("child", "c", 2), "completed")).output == 4
        assert await wake_up(exchange, asleep) == ["a on 2", "b on 2"]
        for run in behind:
            await exchange.until(run, "waiting")


async def test_mail_that_was_read_and_waits_for_a_run_does_not_wake_its_instance_again(exchange: Exchange) -> None:
    before = metrics.leases.labels(event="taken")._value.get()
    async with Worker(changed(exchange, idle_after=0.1)):
        await exchange.post("patient", "early", EnvelopeKind.SIGNAL, {"name": "go", "data": "early"})
        await exchange.eventually(lambda: leases.owner_of(exchange.db, exchange.instance("patient", "early")))
        await until_gone(exchange, "early")
        await put_to_sleep(exchange, "other")
        await until_gone(exchange, "other")
        assert metrics.leases.labels(event="taken")._value.get() - before == 2
        run = await exchange.request("patient", "early", "late")
        assert (await exchange.until(run, "completed")).output == "late early 2"


async def test_idle_instances_leave_by_age_and_are_woken_by_replay(exchange: Exchange, evicted: Evicted) -> None:
    keys = [f"k{n}" for n in range(300)]
    async with Worker(changed(exchange, idle_after=0.2)):
        asleep = await put_to_sleep(exchange, *keys)
        await until_gone(exchange, *keys)
        assert await held(exchange) == 0
        assert await wake_up(exchange, asleep) == [f"{key} on 2" for key in keys]
    assert evicted["age"] >= 300


@pytest.mark.usefixtures("uncollected")
async def test_what_has_left_memory_waits_for_no_garbage_collection(exchange: Exchange, hands: Hands) -> None:
    """A worker looks for rings of garbage seldom, because it holds so much: what leaves must not be one."""
    before = in_memory(Activation, RunDriver)
    async with Worker(changed(exchange, idle_after=0.2)):
        asleep = await put_to_sleep(exchange, *[f"k{n}" for n in range(20)])
        for n in range(20):
            ended = await exchange.request("child", f"c{n}", n)
        await exchange.until(ended, "completed")
        asked = await exchange.request("finder", "f", 1)
        await hands.answer(await hands.item(), "done")
        await exchange.until(asked, "completed")
        await until_gone(exchange, *asleep)
        await exchange.eventually(lambda: in_memory(Activation, RunDriver) == before, every=0.2)
