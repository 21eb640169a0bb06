"""What all tests share: one embedded stack a pytest process, and names of their own for every test."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from trunkline.embedded.stack import Stack
from trunkline.settings import Settings

Check = Callable[[], Any | Awaitable[Any]]
Eventually = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A real NATS and a real Postgres. A test that kills or wipes one takes a stack of its own."""
    with Stack() as stack:
        yield stack


@pytest.fixture
def namespace() -> str:
    """The first token of this test's subjects and streams."""
    return f"t{uuid4().hex[:12]}"


@pytest.fixture
def settings(stack: Stack, namespace: str) -> Iterator[Settings]:
    """Settings with a migrated schema and a namespace of this test alone; the schema is dropped after it."""
    import psycopg

    from trunkline.store import migrate

    migrate.upgrade(stack.postgres.url, namespace)
    yield stack.settings(namespace=namespace, database_schema=namespace)
    with psycopg.connect(stack.postgres.url, autocommit=True) as connection:
        connection.execute(f"set client_min_messages = warning; drop schema {namespace} cascade")


@pytest.fixture
def eventually() -> Eventually:
    """``await eventually(check, timeout=10)``: look until ``check`` (sync or async) gives something true: its result.

    For what only a database row can tell; where there is an event to wait for, wait for that.
    """
    return _eventually


async def _eventually(check: Check, timeout: float = 10.0, *, every: float = 0.02) -> Any:  # noqa: ASYNC109
    deadline = time.monotonic() + timeout
    while True:
        found = check()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, f"nothing came of it within {timeout} s (last look: {found!r})"
        await asyncio.sleep(every)
