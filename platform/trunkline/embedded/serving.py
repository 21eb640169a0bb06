"""A stack from inside an event loop: it starts with its tables, and ends whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from trunkline.embedded.stack import Stack
from trunkline.store import migrate

T = TypeVar("T")


@asynccontextmanager
async def servers(data: Path | None = None) -> AsyncIterator[Stack]:
    """NATS and Postgres, with the tables. In threads, so that signals are heard; what was begun is always ended.

    Raises:
        NotConfigured: the servers cannot use the directory ``data``.
        Unavailable: a server did not come up.
    """
    stack = Stack(data)
    try:
        await in_thread(stack.start)
        await in_thread(lambda: migrate.upgrade(stack.postgres.url, stack.settings().database_schema))
        yield stack
    finally:
        await in_thread(stack.stop)


async def in_thread(do: Callable[[], T]) -> T:
    """Like ``asyncio.to_thread``; a cancellation comes only when it is done, for servers are not for two threads."""
    doing = asyncio.ensure_future(asyncio.to_thread(do))
    try:
        return await asyncio.shield(doing)
    finally:
        while not doing.done():
            await asyncio.wait({doing})
