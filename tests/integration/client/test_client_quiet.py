"""A run that is quiet for long is followed through the silence, and through a break behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from sse_starlette import EventSourceResponse, ServerSentEvent

from trunkline import App, Client, Context
from trunkline.client import http
from trunkline.domain.errors import Unavailable
from trunkline.gateway import streams
from trunkline.gateway.server import serve
from trunkline.settings import Settings
from trunkline_workers.agent import service as agents

app = App("quiet_under_test")
Go = app.signal("go", str)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
PING = b": ping\n\n"


@app.agent("patient")
async def patient(ctx: Context, word: str) -> str:
    return f"{word} {await ctx.wait_for(Go)}"


@pytest.fixture
def pinged(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set when a gateway has sent two comments to one that listens."""
    told, sent = asyncio.Event(), []

    def ping() -> ServerSentEvent:
        sent.append(1)
        if len(sent) > 2:  # this one is being sent; those before it are
            told.set()
        return ServerSentEvent(comment="ping")

    monkeypatch.setattr(streams, "HEARTBEAT", 0.01)
    monkeypatch.setattr(streams, "EventSourceResponse", partial(EventSourceResponse, ping_message_factory=ping))
    return told


async def test_the_comments_of_a_quiet_run_are_no_events(
    settings: Settings, run_service: Any, pinged: asyncio.Event
) -> None:
    await run_service(lambda stop, ready: agents.serve(app, settings, stop, ready))
    free = settings.model_copy(update={"port": 0})
    async with Client(await run_service(lambda stop, ready: serve(free, stop, ready))) as tl:
        run = await tl.start(patient, "well", key="quiet")
        following = asyncio.create_task(_statuses(run.events()))
        heard = asyncio.create_task(pinged.wait())
        await asyncio.wait({heard, following}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        assert heard.done(), following
        await run.signal(Go, "on")
        assert await asyncio.wait_for(following, 20) == ["accepted", "running", "completed"]


async def _statuses(events: Any) -> list[str]:
    return [event.data["status"] async for event in events if event.type == "status"]


def _status(id_: str, status: str) -> bytes:
    data = json.dumps({"run_id": "r", "status": status})
    return f"id: {id_}\nevent: status\ndata: {data}\n\n".encode()


class Gateway:
    """Answers the first connection with ``answers[0]``, the next with the next, and hangs up; ``pass_time`` is called
    in the middle of each, before its last part.
    """

    def __init__(self, *answers: tuple[bytes, bytes], pass_time: Callable[[], None]) -> None:
        self._answers, self._pass_time = list(answers), pass_time

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        before, behind = self._answers.pop(0)
        writer.write(HEAD + before)
        await writer.drain()
        self._pass_time()
        writer.write(behind)
        await writer.drain()
        writer.close()


async def test_a_comment_renews_the_patience_and_silence_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that said nothing for hours, and a gateway that is restarted then."""
    clock = [0.0]
    monkeypatch.setattr(http, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def hours_later() -> None:
        clock[0] += 10_000.0

    begun, end = _status("1", "running"), _status("2", "completed")
    async with (
        Gateway((begun, PING), (b"", PING), (b"", end), pass_time=hours_later) as url,
        Client(url, patience=30) as tl,
    ):
        assert await asyncio.wait_for(_statuses(tl.run("r").events()), 20) == ["running", "completed"]
    async with Gateway((b"", b""), pass_time=hours_later) as url, Client(url, patience=30) as tl:
        with pytest.raises(Unavailable):
            await asyncio.wait_for(_statuses(tl.run("r").events()), 20)
