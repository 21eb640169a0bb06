"""How many wait for a worker is looked up while somebody asks, and for as long as somebody would be refused for it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from trunkline.bus import stored
from trunkline.bus.subjects import Subjects
from trunkline.domain.errors import AgentBusy
from trunkline.gateway import backlog as room
from trunkline.gateway.backlog import Backlog

FULL = {"tl.default.inbox.busy": 3}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> asyncio.Queue[dict[str, int]]:
    """What each look at INBOX is answered, one after the other."""
    answers: asyncio.Queue[dict[str, int]] = asyncio.Queue()

    async def subjects(*_: object) -> dict[str, int]:
        answer = await answers.get()
        answers.task_done()
        return answer

    monkeypatch.setattr(stored, "subjects", subjects)
    monkeypatch.setattr(room, "LOOK_EVERY", 0.0)
    return answers


async def answered(said: asyncio.Queue[dict[str, int]], *answers: dict[str, int]) -> None:
    for answer in answers:
        said.put_nowait(answer)
    async with asyncio.timeout(10):
        await said.join()


async def test_after_a_quiet_time_nobody_is_refused_for_what_waited_before_it(said: asyncio.Queue[Any]) -> None:
    bus: Any = SimpleNamespace(subjects=Subjects("tl"))
    backlog = Backlog(3)
    backlog.joined(bus)
    try:
        backlog.check("default", "busy")
        await answered(said, FULL)
        with pytest.raises(AgentBusy):
            backlog.check("default", "busy")
        backlog.check("default", "other")
        await answered(said, FULL, FULL, FULL, {})  # nobody asks meanwhile
        backlog.check("default", "busy")
    finally:
        await backlog.close()
