"""Large payloads, kept aside so that the bus carries only their ids. They are written once."""

from __future__ import annotations

from typing import Any

from trunkline.domain.codec import dumps, loads
from trunkline.store.database import Database


async def put(db: Database, tenant: str, id_: str, value: Any) -> None:
    """Keep ``value`` (JSON) under ``id_``; what is there already stays.

    Raises:
        NotJson: it has no JSON form.
    """
    async with db.connection() as connection:
        await connection.execute(
            "insert into payloads (tenant, id, body) values (%s, %s, %s) on conflict do nothing",
            [tenant, id_, dumps(value).decode()],
        )


async def get(db: Database, tenant: str, id_: str) -> Any:
    """The value under ``id_``.

    Raises:
        KeyError: there is none.
    """
    async with db.connection() as connection:
        cursor = await connection.execute("select body from payloads where tenant = %s and id = %s", [tenant, id_])
        row = await cursor.fetchone()
    if row is None:
        raise KeyError(id_)
    return loads(row[0])
