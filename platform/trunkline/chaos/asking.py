"""Questions to a Postgres that may be away just now: they wait until it is back."""

from __future__ import annotations

import asyncio
from typing import Any

from trunkline.store.database import Database, Unreachable

AGAIN = 0.1  # seconds until it is asked again


async def ask(db: Database, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """The rows; however long Postgres is away (the caller bounds it)."""
    while True:
        try:
            async with db.connection() as connection:
                cursor = await connection.execute(sql.encode(), parameters or None)
                rows: list[tuple[Any, ...]] = await cursor.fetchall()
                return rows
        except Unreachable:
            await asyncio.sleep(AGAIN)
