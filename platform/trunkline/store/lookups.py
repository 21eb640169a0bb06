"""Looks at a few rows, planned once: on one connection of its own, whose plans find every table through an index.

The pool's connections plan a statement anew for what it is asked, which is right for what reads much and takes longer
than all else where it reads little. The statements here say ``= any(…)`` or look up row by row, so that a plan which
was made when the tables were empty stays good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import psycopg

from trunkline.store.failures import passes
from trunkline.store.own_connection import OwnConnection
from trunkline.store.statement import SESSION, Statement

if TYPE_CHECKING:
    from trunkline.store.database import Database


class Lookups:
    """One statement at a time; others wait for their turn."""

    def __init__(self, db: Database) -> None:
        self._db, self._own = db, OwnConnection(db, SESSION)
        self._turn = asyncio.Lock()

    async def rows(self, statement: Statement, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """What the statement answers.

        Raises:
            Unreachable: Postgres is away; what was sent may or may not have been done.
        """
        async with self._turn:
            sent = False
            try:
                await self._own.check()
                await self._own.get()
                sent = True
                found = await self._own.rows(statement, parameters)
            except (psycopg.Error, OSError) as error:
                await self.close()
                if not passes(error):
                    raise
                raise self._db.gone(error, sent=sent) from error
            self._db.back()
            return found

    async def close(self) -> None:
        await self._own.close()
