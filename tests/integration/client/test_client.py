"""The client, over HTTP and directly: the same calls, the same answers, the same errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from trunkline import App, Client, CloudEvent, Context, Every
from trunkline.domain.errors import (
    AlreadyDecided,
    BadDeclaration,
    BadInput,
    IdempotencyConflict,
    NotEnded,
    RunEnded,
    RunFailedError,
    Unavailable,
    UnknownAgent,
    UnknownApproval,
    UnknownInstance,
    UnknownRun,
)
from trunkline.gateway.server import serve
from trunkline.settings import Settings
from trunkline.supervisor import service as supervisor
from trunkline_workers.agent import service as agents

KEY = "ä/b c.*>"
app = App("client_under_test")
Go = app.signal("go", str)


class Order(BaseModel):
    number: int


class Verdict(BaseModel):
    text: str


@app.agent("orders", on="order.placed", key="data.number")
async def orders(ctx: Context, order: Order) -> Verdict:
    return Verdict(text=f"order {order.number}")


@app.agent("report", schedule=Every("1h"))
async def report(ctx: Context, _: None) -> None: ...


@app.agent("patient")
async def patient(ctx: Context, word: str) -> str:
    return f"{word} {await ctx.wait_for(Go)}"


@app.agent("clumsy")
async def clumsy(ctx: Context, word: str) -> str:
    raise ValueError(word)


@app.agent("buyer")
async def buyer(ctx: Context, cents: int) -> str:
    return str((await ctx.approve("buy", cents)).by)


@pytest.fixture(params=["http", "direct"])
async def tl(request: pytest.FixtureRequest, settings: Settings, run_service: Any) -> AsyncIterator[Client]:
    await run_service(lambda stop, ready: agents.serve(app, settings, stop, ready))
    if request.param == "direct":
        client = await Client.direct(settings=settings)
    else:
        free = settings.model_copy(update={"port": 0})
        client = Client(await run_service(lambda stop, ready: serve(free, stop, ready)))
    async with client:
        yield client


async def test_a_run_gives_its_own_type(tl: Client) -> None:
    run = await tl.start(orders, Order(number=7), key=KEY)
    assert await run.result(20) == Verdict(text="order 7")
    assert [entry["type"] for entry in await run.journal()] == ["RunStarted", "RunCompleted"]
    assert (await run.show())["key"] == KEY
    assert (await tl.run(run.id).result(5)) == {"text": "order 7"}
    listed = await tl.runs(agent="orders", key=KEY)
    assert [one["id"] for one in listed["items"]] == [run.id]
    assert (await tl.instance(orders, KEY))["state"] is None


async def test_an_idempotency_key_starts_one_run(tl: Client) -> None:
    first, again = [await tl.start("orders", {"number": 1}, idempotency_key="k") for _ in range(2)]
    assert first.id == again.id
    with pytest.raises(IdempotencyConflict):
        await tl.start("orders", {"number": 2}, idempotency_key="k")


async def test_events_are_followed_to_the_end(tl: Client) -> None:
    run = await tl.start(patient, "well", key="one")
    events = run.events()
    first = await anext(events)
    assert (first.type, first.data["status"]) == ("status", "accepted")
    await run.signal(Go, "on")
    rest = [event async for event in events]
    assert rest[-1].data["output"] == "well on"
    with pytest.raises(RunEnded):
        await run.signal("go", "again")


async def test_what_did_not_go_well_is_told(tl: Client) -> None:
    with pytest.raises(RunFailedError, match="ValueError: oh no"):
        await (await tl.start(clumsy, "oh no")).result(20)
    with pytest.raises(UnknownAgent, match="nobody"):
        await tl.start("nobody", 1)
    with pytest.raises(UnknownRun):
        await tl.run("00000000-0000-7000-8000-000000000000").status()
    with pytest.raises(BadInput):
        await tl.start(orders, {"number": "many"})  # type: ignore[arg-type]
    run = await tl.start(patient, "well")
    with pytest.raises(NotEnded, match=r"is (accepted|running|waiting)"):
        await run.result(timeout=0)
    await run.cancel("no more")
    with pytest.raises(RunFailedError, match="cancelled"):
        await run.result(20)


async def test_an_instance_is_signalled_and_an_event_wakes(tl: Client) -> None:
    run = await tl.start(patient, "well", key="two")
    await tl.signal(patient, "two", Go, "on")
    assert await run.result(20) == "well on"
    event = CloudEvent(source="test", type="order.placed", data={"number": 3})
    (started,) = await tl.publish(event)
    assert await tl.publish(event) == [started]
    assert await tl.run(started).result(20) == {"text": "order 3"}


async def test_a_decision_is_given(tl: Client, eventually: Any) -> None:
    run = await tl.start(buyer, 5)

    async def listed() -> list[dict[str, Any]]:
        return (await tl.approvals())["items"]

    (asked,) = await eventually(listed)
    await tl.decide(asked["id"], approved=True, by="ann")
    assert await run.result(20) == "ann"
    await tl.decide(asked["id"], approved=True, by="ann")  # told again, and nothing changes
    with pytest.raises(AlreadyDecided):
        await tl.decide(asked["id"], approved=False, by="bob")
    with pytest.raises(UnknownApproval):
        await tl.decide(run.id, approved=True, by="ann")


async def test_what_there_is(tl: Client) -> None:
    assert {agent["name"] for agent in (await tl.agents())["items"]} == {
        "orders",
        "patient",
        "clumsy",
        "buyer",
        "report",
    }
    assert (await tl.tools())["items"] == []
    [schedule] = (await tl.schedules())["items"]
    assert (schedule["agent"], schedule["name"], schedule["due_at"] % 3600) == ("report", "every 1h", 0)
    assert "agents" in {worker["kind"] for worker in (await tl.workers())["items"]}
    assert (await tl.dead_letters())["items"] == []


async def test_an_instance_is_erased_and_begins_anew(tl: Client) -> None:
    run = await tl.start(patient, "well", key=KEY, idempotency_key="k")
    erased = await tl.erase(patient, KEY)
    assert erased["purged"]
    assert await tl.erase(patient, KEY) == erased
    with pytest.raises(RunFailedError, match="erased"):
        await run.result(20)
    assert [event async for event in run.events()][-1].data["error"]["type"] == "Erased"
    assert await run.journal() == []
    with pytest.raises(UnknownInstance):
        await tl.instance(patient, KEY)
    with pytest.raises(UnknownInstance):
        await tl.erase(patient, "nobody")
    again = await tl.start(patient, "well", key=KEY, idempotency_key="k")
    assert again.id != run.id, "its keys are forgotten with it"
    await again.signal(Go, "on")
    assert await again.result(20) == "well on"


async def test_a_gateway_that_is_away_is_told_after_the_patience() -> None:
    async with Client("http://127.0.0.1:1", patience=0) as tl:
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
            await tl.agents()
        with pytest.raises(BadDeclaration, match="direct"):
            await tl.start("orders", 1, connection=object())


async def test_a_gateway_that_comes_back_answers(settings: Settings, run_service: Any) -> None:
    """A client that began to ask before the gateway was there."""
    await run_service(lambda stop, ready: agents.serve(app, settings, stop, ready))
    port = _free_port()
    async with Client(f"http://127.0.0.1:{port}") as tl:
        asking = asyncio.create_task(tl.start(orders, Order(number=9), key="late"))
        there = settings.model_copy(update={"port": port})
        await run_service(lambda stop, ready: serve(there, stop, ready))
        assert (await (await asyncio.wait_for(asking, 20)).result(20)).text == "order 9"


async def test_events_and_results_go_on_when_the_gateway_is_restarted(settings: Settings, run_service: Any) -> None:
    """A gateway that is asked to stop does not wait for those who listen; they find the next one."""
    await run_service(lambda stop, ready: agents.serve(app, settings, stop, ready))
    there = settings.model_copy(update={"port": _free_port()})
    stop, ready = asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(serve(there, stop, lambda _: ready.set()))
    await asyncio.wait_for(ready.wait(), 20)
    async with Client(f"http://127.0.0.1:{there.port}") as tl:
        run = await tl.start(patient, "well", key="restarted")
        waiting = asyncio.create_task(run.result(30))  # before the others, so that it is inside when they have answers
        events = run.events()
        seen = [await anext(events), await anext(events)]
        stop.set()
        await asyncio.wait_for(first, 10)
        await run_service(lambda stop, ready: serve(there, stop, ready))
        await run.signal(Go, "on")
        seen += [event async for event in events]
        assert await asyncio.wait_for(waiting, 20) == "well on"
    statuses = [event.data["status"] for event in seen if event.type == "status"]
    assert statuses == ["accepted", "running", "completed"]
    assert len({event.id for event in seen}) == len(seen), "nothing came twice"


@pytest.mark.parametrize("commit", [True, False])
async def test_a_start_joins_the_callers_transaction(settings: Settings, run_service: Any, commit: bool) -> None:
    await run_service(lambda stop, ready: agents.serve(app, settings, stop, ready))
    async with await Client.direct(settings=settings) as tl:
        url = settings.database_url.get_secret_value()
        async with await psycopg.AsyncConnection.connect(url) as connection:
            run = await tl.start(orders, Order(number=5), connection=connection)
            with pytest.raises(UnknownRun):
                await run.status()
            await (connection.commit() if commit else connection.rollback())
        if not commit:
            with pytest.raises(UnknownRun):
                await run.status()
            return
        run.wake()
        assert (await run.result(20)).text == "order 5"


@pytest.mark.parametrize("commit", [True, False])
async def test_a_start_joins_a_session_of_sqlalchemy(settings: Settings, run_service: Any, commit: bool) -> None:
    await run_service(lambda stop, ready: agents.serve(app, settings, stop, ready))
    url = settings.database_url.get_secret_value().replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_async_engine(url)
    async with await Client.direct(settings=settings) as tl, AsyncSession(engine) as session:
        await session.execute(text("select 1"))
        run = await tl.start(orders, Order(number=6), connection=session)
        await (session.commit() if commit else session.rollback())
        if commit:
            run.wake()
            assert (await run.result(20)).text == "order 6"
        else:
            with pytest.raises(UnknownRun):
                await run.status()
    await engine.dispose()


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


async def test_a_deadline_travels_with_the_request(tl: Client, settings: Settings, run_service: Any) -> None:
    await run_service(lambda stop, ready: supervisor.serve(settings, stop, ready))
    early = await tl.start(patient, "early", deadline=datetime(2000, 1, 1, tzinfo=UTC))
    with pytest.raises(RunFailedError, match="its deadline has passed: 2000-01-01T00:00:00Z"):
        await early.result(timeout=20)
    # Whether it begins first is up to the worker's idea of Postgres's clock. Then its timer ends it.
    with pytest.raises(RunFailedError, match="its deadline has passed"):
        await (await tl.start(patient, "at once", deadline=0)).result(timeout=20)
    with pytest.raises(BadInput, match="the deadline"):
        await tl.start(patient, "never", deadline="soon")


async def test_an_agent_is_paused_and_goes_on(tl: Client) -> None:
    await tl.pause(patient, reason="mending")
    items = {one["name"]: one["paused"] for one in (await tl.agents())["items"]}
    assert items["patient"]["reason"] == "mending"
    assert items["orders"] is None
    await tl.resume("patient")
    assert {one["name"]: one["paused"] for one in (await tl.agents())["items"]}["patient"] is None
    with pytest.raises(BadInput, match="say why"):
        await tl.pause("patient", reason="")
