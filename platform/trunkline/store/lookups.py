"""Looks at a few rows, planned once: on one connection of its own, whose plans find every table through an index.

The pool's connections plan a statement anew for what it is asked, which is right for what reads much and takes longer
than all else where it reads little. The statements here say ``= any(…)`` or look up row by row, so that a plan which
was made when the tables were empty stays good.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import psycopg

from trunkline.store.failures import passes
from trunkline.store.statement import SESSION, Statement

if TYPE_CHECKING:
    from trunkline.store.database import Connection, Database


class Lookups:
    """One statement at a time; others wait for their turn."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._turn = asyncio.Lock()
        self._connection: Connection | None = None

    async def rows(self, statement: Statement, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """What the statement answers.

        Raises:
            Unreachable: Postgres is away; what was sent may or may not have been done.
        """
        async with self._turn:
            sent = False
            try:
                connection = await self._connected()
                sent = True
                cursor = psycopg.AsyncRawCursor(connection)
                values = [parameters[name] for name in statement.names]
                async with self._db.planned(connection, SESSION):
                    await cursor.execute(statement.text, values, prepare=True, binary=True)
                found = await cursor.fetchall()
            except (psycopg.Error, OSError) as error:
                await self.close()
                if not passes(error):
                    raise
                raise self._db.gone(error, sent=sent) from error
            self._db.back()
            return found

    async def _connected(self) -> Connection:
        if self._connection is not None:
            try:
                await check_open(self._connection)
            except psycopg.Error:
                await self.close()
        if self._connection is None:
            self._connection = await self._db.connect(SESSION)
        return self._connection

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


async def check_open(connection: Connection) -> None:
    """Read what the server said while the connection lay idle: when it hung up, that raises, and the pool drops it."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    while poll.poll(0):
        connection.pgconn.consume_input()
