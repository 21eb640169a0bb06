"""Runs as server-sent events, over real HTTP, with a model that streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from httpx_sse import EventSource, ServerSentEvent

from trunkline import App, Context
from trunkline.gateway.server import serve
from trunkline.settings import Settings
from trunkline.store.database import Database
from trunkline.testing.openai_server import OpenAIServer
from trunkline_workers.agent import service as agents
from trunkline_workers.llm import service as llm

app = App("streams_under_test")
Go = app.signal("go", str)
TEXT = "Once upon a time there was a durable agent, and it lived happily ever after."

teller = app.llm_agent("teller", model="openai/scripted", instructions="Tell.", output=str)


@app.agent("patient")
async def patient(ctx: Context, word: str) -> str:
    return f"{word} {await ctx.wait_for(Go)}"


@pytest.fixture
async def http(settings: Settings, run_service: Any) -> AsyncIterator[httpx2.AsyncClient]:
    async with OpenAIServer(lambda *_: TEXT, token_delay=0.03) as model:
        with_model = settings.model_copy(update={"model_api_base": model.url})
        await run_service(lambda stop, ready: agents.serve(app, settings, stop, ready))
        await run_service(lambda stop, ready: llm.serve(app, with_model, stop, ready))
        free = settings.model_copy(update={"port": 0})
        url = await run_service(lambda stop, ready: serve(free, stop, ready))
        async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
            yield client


@pytest.fixture
async def db(settings: Settings) -> AsyncIterator[Database]:
    db = await Database.of(settings)
    yield db
    await db.close()


async def start(http: httpx2.AsyncClient, agent: str) -> str:
    return (await http.post(f"/v1/agents/{agent}/runs", json={"input": "hello"})).json()["run_id"]


async def read(http: httpx2.AsyncClient, run: str, after: str = "", most: int = 10_000) -> list[ServerSentEvent]:
    headers = {"Last-Event-ID": after} if after else {}
    async with http.stream("GET", f"/v1/runs/{run}/events", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        found: list[ServerSentEvent] = []
        async for event in EventSource(answer).aiter_sse():
            found.append(event)
            if len(found) == most:
                break
        return found


def text_of(events: list[ServerSentEvent], text: str = "") -> str:
    for event in events:
        text = "" if event.event == "reset" else text
        if event.event == "token":
            text += json.loads(event.data)["text"]
    return text


async def test_tokens_come_one_after_another_and_the_end_is_told(http: httpx2.AsyncClient) -> None:
    async with http.stream(
        "POST", "/v1/agents/teller/runs", json={"input": "hello"}, headers={"Accept": "text/event-stream"}
    ) as answer:
        events = [event async for event in EventSource(answer).aiter_sse()]
    first, last = json.loads(events[0].data), json.loads(events[-1].data)
    assert (events[0].event, first["status"]) == ("status", "accepted")
    assert (events[-1].event, last["status"], last["output"]) == ("status", "completed", TEXT)
    assert text_of(events) == TEXT
    assert [event.event for event in events].count("token") > 2
    assert (await http.get(f"/v1/runs/{first['run_id']}")).json()["status"] == "completed"


async def test_a_reader_who_was_cut_off_goes_on_where_it_was(http: httpx2.AsyncClient) -> None:
    run = await start(http, "teller")
    before = await read(http, run, most=6)
    after = await read(http, run, before[-1].id)
    assert text_of(after, text_of(before)) == TEXT
    whole = await read(http, run)
    assert text_of(whole) == TEXT
    steps = [event.data for event in [*before, *after] if event.event == "step"]
    assert steps == [event.data for event in whole if event.event == "step"], "no hole, and nothing twice"


async def test_a_run_that_waits_is_followed_through_its_signal(http: httpx2.AsyncClient) -> None:
    run = await start(http, "patient")
    following = asyncio.create_task(read(http, run))
    assert (await http.post(f"/v1/runs/{run}/signals/go", json="on")).status_code == 202
    events = await asyncio.wait_for(following, 20)
    assert json.loads(events[-1].data)["output"] == "hello on"


async def test_who_reads_what_cannot_be_read_or_writes_ids_in_capitals_stops_no_other_reader(
    http: httpx2.AsyncClient, db: Database, eventually: Any
) -> None:
    sound, broken = await start(http, "patient"), await start(http, "patient")
    forget = "update journal set type = 'StepForgotten' where run = %s and type = 'StepScheduled'"

    async def forgotten() -> int:
        async with db.connection() as connection, connection.transaction():
            await connection.execute("set local session_replication_role = 'replica'")  # the journal refuses it
            return (await connection.execute(forget, [broken])).rowcount

    await eventually(forgotten)
    readers = [asyncio.create_task(read(http, run)) for run in (sound, sound.upper())]
    *_, (first, *nothing) = [await asyncio.wait_for(read(http, broken), 10) for _ in range(2)]
    assert (json.loads(first.data)["run_id"], nothing) == (broken, [])
    assert (await http.post(f"/v1/runs/{sound}/signals/go", json="on")).status_code == 202
    for events in await asyncio.wait_for(asyncio.gather(*readers), 20):
        last = json.loads(events[-1].data)
        assert (last["run_id"], last["output"]) == (sound, "hello on")


async def test_what_cannot_be_followed_is_told_at_once(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/v1/runs/00000000-0000-7000-8000-000000000000/events")).status_code == 404
    run = await start(http, "patient")
    wrong = await http.get(f"/v1/runs/{run}/events", headers={"Last-Event-ID": "nonsense"})
    assert wrong.status_code == 422
    assert wrong.headers["content-type"].startswith("application/problem+json")
