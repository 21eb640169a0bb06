"""A connection outside of the pool, for statements that are planned once: made when needed, and anew when lost."""

from __future__ import annotations

import select
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import psycopg

from trunkline.store.failures import reason
from trunkline.store.statement import Statement

if TYPE_CHECKING:
    from trunkline.store.database import Connection, Database


class OwnConnection:
    """``settings`` are the server's, for whatever is executed under ``planned``."""

    def __init__(self, db: Database, settings: Mapping[str, str]) -> None:
        self._db, self._settings = db, settings
        self._connection: Connection | None = None

    @property
    def made(self) -> bool:
        """Whether there is one, as far as is known."""
        return self._connection is not None

    async def get(self) -> Connection:
        """It, or a new one (``psycopg.OperationalError`` or ``OSError`` when there is none to be had just now)."""
        if self._connection is None:
            try:
                self._connection = await self._db.connect(self._settings)
            except psycopg.Error as error:  # whatever it is, it says nothing of what was to be sent
                raise psycopg.OperationalError(reason(error)) from error
        return self._connection

    async def rows(self, statement: Statement, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """What the statement answers (``psycopg.Error`` or ``OSError`` when it does not)."""
        connection = await self.get()
        cursor = psycopg.AsyncRawCursor(connection)
        values = [parameters[name] for name in statement.names]
        async with self.planned(connection):
            await cursor.execute(statement.text, values, prepare=True, binary=True)
        return await cursor.fetchall()

    def planned(self, connection: Connection) -> AbstractAsyncContextManager[Any]:
        """Around one statement on what ``get`` gave."""
        return self._db.planned(connection, self._settings)

    async def check(self) -> None:
        """Let go of it if the server hung up while it lay idle."""
        if self._connection is not None:
            try:
                await check_open(self._connection)
            except psycopg.Error:
                await self.close()

    async def close(self) -> None:
        """Let go of it; the next ``get`` makes another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


async def check_open(connection: Connection) -> None:
    """Read what the server said while the connection lay idle: when it hung up, that raises, and the pool drops it."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    while poll.poll(0):
        connection.pgconn.consume_input()
