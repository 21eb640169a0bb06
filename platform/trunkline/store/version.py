"""The version of the tables that this code needs, and whether the database is at it.

Apart from ``migrate``, which brings it there, so that the processes that only look need not load Alembic.
"""

from __future__ import annotations

import asyncio
import time

import psycopg

from trunkline.domain.errors import SchemaMismatch
from trunkline.store.database import Database

NEEDED = "0013"  # the newest revision in trunkline_migrations
LOOK_EVERY = 0.1  # seconds


async def check(db: Database, *, wait: float = 0.0) -> None:
    """Compare the schema that ``db`` uses with what this version needs, for ``wait`` seconds again and again.

    Raises:
        SchemaMismatch: it is at another revision, or was never migrated.
        Unreachable: Postgres does not answer.
    """
    until = time.monotonic() + wait
    while (found := await _found(db)) != NEEDED:
        if time.monotonic() >= until:
            raise SchemaMismatch(found=found, needed=NEEDED)
        await asyncio.sleep(LOOK_EVERY)


async def _found(db: Database) -> str:
    async with db.connection() as connection:
        try:
            cursor = await connection.execute("select version_num from alembic_version")
        except psycopg.errors.UndefinedTable:
            return "nothing"
        row = await cursor.fetchone()
    return str(row[0]) if row else "nothing"
