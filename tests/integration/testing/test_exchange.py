"""The kit's exchange: runs, events, signals, approvals, several workers, and what is said when a test is wrong."""

from __future__ import annotations

import asyncio
import math

import pytest

from integration.testing.kit_app import (
    Gate,
    Order,
    app,
    asking,
    buyer,
    collector,
    listening,
    orders,
    paid,
    payer,
    sleeper,
)
from trunkline import CloudEvent, RunFailedError
from trunkline.bus.connection import Bus
from trunkline.bus.subjects import Stream
from trunkline.domain.errors import Unavailable, UnknownRun
from trunkline.store import workers
from trunkline.store.database import Database
from trunkline.testing import Exchange, ExchangeFactory, UnknownFake

ORDER = Order(id="o-1", cents=500)


async def test_a_run_goes_through_real_workers(exchange: ExchangeFactory) -> None:
    async with exchange(app, tools={"refund": "a receipt"}) as tl:
        run = await tl.start(orders, ORDER, key="o-1")
        assert await run.result() == "a receipt"
        journal = await tl.journal(run)
    journal.completed("refund", times=1, args={"cents": 500})
    assert journal.completed("look_up")[0].value == "o-1 is known"
    journal.in_order("look_up", "refund", "order.refunded")
    journal.never("collector")


async def test_events_wake_agents_and_the_exchange_comes_to_rest_behind_them(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        [run] = await tl.publish("order.placed", ORDER)
        await tl.settle()
        assert (await tl.run(run).show())["output"] == "refunded 500 of o-1"
        heard = (await tl.runs(agent="listening"))["items"]
        assert [(one["key"], one["status"]) for one in heard] == [("o-1", "completed")]
        event = CloudEvent(id="1", source="test", type="order.refunded", data={"id": "o-2"})
        [run] = await tl.publish(event)
        assert await tl.run(run).result() == "heard of o-2"
        assert await tl.publish(event) == [run]


async def test_signals_and_approvals(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        collecting = await tl.start(collector, None)
        await collecting.signal(paid, 7)
        assert await collecting.result() == "7 paid"
        buying, refused = await tl.start(buyer, 1), await tl.start(buyer, 2)
        await tl.approve("buy", run=refused.id, approved=False)
        await tl.approve("buy", by="ann")
        assert (await buying.result(), await refused.result()) == ("ann: True", "test: False")
        with pytest.raises(AssertionError, match="no run waits for the approval 'buy'; what is waited for: none"):
            await tl.approve("buy")


async def test_a_journal_holds_those_of_the_runs_that_were_asked_for(exchange: ExchangeFactory) -> None:
    async with exchange(app, tools={"refund": ConnectionError("no bank")}) as tl:
        run = await tl.start(asking, ORDER)
        with pytest.raises(RunFailedError, match="no bank"):
            await run.result()
        journal = await tl.journal(run)
    assert [step.name for step in journal.steps] == ["orders"]
    journal.in_order("look_up", "refund")
    [refund] = journal.failed("refund", times=1, error="ConnectionError")
    assert refund.attempts == 2
    with pytest.raises(AssertionError) as caught:
        journal.completed("refund")
    assert '\n    tool refund {"order_id":"o-1","cents":500} ✗ ConnectionError: no bank (attempt 2)' in str(
        caught.value
    )


async def test_several_workers_share_the_work(exchange: ExchangeFactory) -> None:
    async with exchange(app, agents=2) as tl:
        runs = [await tl.start(sleeper, 1, key=f"s-{number}") for number in range(20)]
        await tl.settle()
        held = [worker["worker"] for worker in (await tl.workers())["items"] if worker["kind"] == "agents"]
        assert len(held) == 2
        await tl.skip("1d")
        assert [await run.status() for run in runs] == ["completed"] * 20


async def test_a_request_behind_another_one_and_an_early_signal_are_at_rest(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        first, second = await tl.start(collector, None, key="one"), await tl.start(collector, None, key="one")
        await second.signal(paid, 2)
        await tl.signal(sleeper, "nobody", "hello", 1)
        await tl.settle()
        assert (await first.status(), await second.status()) == ("waiting", "accepted")
        await first.signal(paid, 1)
        assert (await first.result(), await second.result()) == ("1 paid", "2 paid")


async def test_what_still_moves_is_told(exchange: ExchangeFactory) -> None:
    gate = Gate()
    async with exchange(app, tools={"look_up": gate}) as tl:
        run = await tl.start(orders, ORDER, key="o-1")
        await gate.reached.wait()
        with pytest.raises(
            AssertionError, match=r"rest within 0 s:\n  orders/o-1: step tool:look_up#1 is being carried"
        ):
            await tl.settle(within=0)
        gate.open.set()
        await run.result()


async def test_tests_do_not_see_each_other_and_leave_nothing(exchange: ExchangeFactory) -> None:
    async with exchange(app) as one, exchange(app) as other:
        run = await one.start(orders, ORDER, key="o-1")
        await run.result()
        assert (await other.runs())["items"] == []
        names = [one.settings.database_schema, other.settings.database_schema]
    db = await Database.open(one.settings.database_url.get_secret_value())
    async with db.connection() as connection:
        cursor = await connection.execute("select count(*) from pg_namespace where nspname = any(%s)", [names])
        assert await cursor.fetchone() == (0,)
    await db.close()
    bus = await Bus.connect(one.settings, name="test")
    assert all(line.endswith("is missing") for line in await bus.check())
    assert len(await bus.check()) == len(Stream)
    await bus.close()


async def test_a_fake_for_a_tool_that_is_not_there_is_refused() -> None:
    with pytest.raises(UnknownFake, match="refnud"):
        Exchange(app, tools={"refnud": None})


async def test_it_starts_servers_of_its_own_without_a_fixture() -> None:
    async with Exchange(app) as tl:
        assert await (await tl.start(listening, {"id": "o-9"})).result() == "heard of o-9"


async def test_no_task_is_left(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        await tl.start(collector, None)
        await tl.crash("agents")
        await tl.crash("tools")
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_a_worker_that_ends_by_itself_fails_the_test(exchange: ExchangeFactory) -> None:
    gate = Gate()
    tl = await exchange(app, tools={"look_up": gate}).__aenter__()
    await tl.start(orders, ORDER)
    await gate.reached.wait()
    db = await Database.open(tl.settings.database_url.get_secret_value(), schema=tl.settings.database_schema)
    [worker] = [one for one in await workers.list_workers(db) if one.kind == "agents"]
    await workers.declare_dead(db, worker.worker, math.inf)
    await db.close()
    with pytest.raises(Unavailable, match="the supervisor declared it dead"):
        await tl.settle()
    with pytest.raises(Unavailable, match="the supervisor declared it dead"):
        await tl.close()
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_an_exchange_that_cannot_begin_leaves_nothing(exchange: ExchangeFactory) -> None:
    with pytest.raises(Unavailable, match="NATS"):
        async with exchange(app, settings={"nats_url": "nats://127.0.0.1:1"}):
            pass
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


async def test_an_unsafe_tool_begins_whatever_time_handlers_are_told(exchange: ExchangeFactory) -> None:
    for at in (0.0, 4e9):
        async with exchange(app, at=at) as tl:
            assert await (await tl.start(payer, 5)).result(timeout=10) == "paid 5"


async def test_a_crash_of_nobody_is_refused(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        with pytest.raises(ValueError, match="no worker of kind 'llm' here; there are: supervisor, agents, tools"):
            await tl.crash("llm")


async def test_a_run_that_is_not_there_has_no_journal(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        with pytest.raises(UnknownRun):
            await tl.journal("00000000-0000-0000-0000-000000000000")
