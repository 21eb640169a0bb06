"""Databases and appenders for the tests of the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from trunkline.embedded.stack import Stack
from trunkline.settings import Settings
from trunkline.store.append import Appender
from trunkline.store.database import Database


@pytest.fixture
def url(stack: Stack) -> str:
    return stack.postgres.url


@pytest.fixture
def schema(settings: Settings) -> str:
    """A migrated schema of the test's own."""
    return settings.database_schema


@pytest.fixture
async def opened() -> AsyncIterator[Callable[..., Awaitable[Database]]]:
    """Opens databases that are closed after the test, however it ends."""
    databases: list[Database] = []

    async def open_(url: str, **options: Any) -> Database:
        databases.append(await Database.open(url, **options))
        return databases[-1]

    yield open_
    for database in databases:
        await asyncio.wait_for(database.close(), 20)


@pytest.fixture
async def db(url: str, schema: str, opened: Callable[..., Awaitable[Database]]) -> Database:
    return await opened(url, schema=schema)


@pytest.fixture
async def appending() -> AsyncIterator[Callable[..., Appender]]:
    """Makes appenders (not started yet) that are closed after the test."""
    appenders: list[Appender] = []

    def make(db: Database, **options: Any) -> Appender:
        appenders.append(Appender(db, **options))
        return appenders[-1]

    yield make
    for appender in appenders:
        await asyncio.wait_for(appender.close(), 10)


@pytest.fixture
async def appender(db: Database, appending: Callable[..., Appender]) -> Appender:
    """A started appender."""
    started = appending(db)
    started.start()
    return started
