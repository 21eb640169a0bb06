"""The version of the tables that this code needs, and whether the database is at it.

Apart from ``migrate``, which brings it there, so that the processes that only look need not load Alembic.
"""

from __future__ import annotations

import psycopg

from trunkline.domain.errors import SchemaMismatch
from trunkline.store.database import Database

NEEDED = "0013"  # the newest revision in trunkline_migrations


async def check(db: Database) -> None:
    """Compare the schema that ``db`` uses with what this version needs.

    Raises:
        SchemaMismatch: it is at another revision, or was never migrated.
        Unreachable: Postgres does not answer.
    """
    found = "nothing"
    async with db.connection() as connection:
        try:
            cursor = await connection.execute("select version_num from alembic_version")
        except psycopg.errors.UndefinedTable:
            pass
        else:
            row = await cursor.fetchone()
            found = row[0] if row else "nothing"
    if found != NEEDED:
        raise SchemaMismatch(found=found, needed=NEEDED)
