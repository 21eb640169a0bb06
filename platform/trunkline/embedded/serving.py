"""A stack from inside an event loop: it starts with its tables, and ends whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import TypeVar

from trunkline.embedded.stack import Stack

T = TypeVar("T")


@asynccontextmanager
async def servers(data: Path | None = None) -> AsyncIterator[Stack]:
    """NATS and Postgres, with the tables. In threads, so that signals are heard; what was begun is always ended.

    Raises:
        NotConfigured: the servers cannot use the directory ``data``.
        Unavailable: a server did not come up.
    """
    async with starting(data) as (stack, up):
        await up
        yield stack


@asynccontextmanager
async def starting(data: Path | None = None) -> AsyncIterator[tuple[Stack, asyncio.Future[None]]]:
    """The same, at once: the servers' addresses are known before they are up. What the future raises is as above."""
    stack = Stack(data)
    up = asyncio.ensure_future(_start(stack))
    try:
        yield stack, up
    finally:
        await asyncio.gather(up, return_exceptions=True)  # who left early does not ask how it went
        await to_its_end(stack.stop)


async def _start(stack: Stack) -> None:
    """What makes the tables is loaded meanwhile: that takes about as long."""
    _, migrate = await asyncio.gather(
        to_its_end(stack.start), to_its_end(lambda: import_module("trunkline.store.migrate"))
    )
    await to_its_end(lambda: migrate.upgrade(stack.postgres.url, stack.settings().database_schema))


async def to_its_end(do: Callable[[], T]) -> T:
    """``do`` in a thread, as ``asyncio.to_thread``; a cancellation comes only when it is done, for servers are not for
    two threads.
    """
    doing = asyncio.ensure_future(asyncio.to_thread(do))
    try:
        return await asyncio.shield(doing)
    finally:
        while not doing.done():
            await asyncio.wait({doing})
