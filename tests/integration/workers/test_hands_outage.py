"""A tool worker whose broker dies, or forgets everything, while it works: what was done is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_owner import Owner

from trunkline.authoring.app import App
from trunkline.embedded.nats import EmbeddedNats
from trunkline.settings import Settings
from trunkline_workers.tool import service

Serving = Callable[..., Awaitable[Any]]


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[EmbeddedNats]:
    nats = EmbeddedNats(tmp_path / "nats")
    nats.start()
    yield nats
    nats.stop()


@pytest.fixture
def settings(settings: Settings, nats: EmbeddedNats) -> Settings:
    """The test's settings, with a broker of its own."""
    return settings.model_copy(update={"nats_url": nats.url})


@pytest.mark.parametrize("wiped", [False, True])
async def test_the_outcome_outlives_the_broker(
    nats: EmbeddedNats, owner: Owner, serving: Serving, *, wiped: bool
) -> None:
    app, began, go_on, calls = App("shop"), asyncio.Event(), asyncio.Event(), []

    @app.tool
    async def held(n: int) -> int:
        calls.append(n)
        began.set()
        await go_on.wait()
        return n

    await serving(service.serve, app, ack_wait=1.0)
    item = await owner.call(held, 7)
    await asyncio.wait_for(began.wait(), 10)
    await asyncio.to_thread(nats.kill)
    if wiped:
        await asyncio.to_thread(nats.wipe)
    await asyncio.to_thread(nats.start)
    go_on.set()
    assert (await owner.outcome(item)).value == 7
    assert calls == [7]
    assert (await owner.outcome(await owner.call(held, 8))).value == 8  # and it reads on
