"""Large payloads, kept aside so that the bus carries only their ids. They are written once."""

from __future__ import annotations

from typing import Any

from trunkline.domain.codec import dumps, loads
from trunkline.domain.ids import is_id
from trunkline.store.database import Database


async def put(db: Database, tenant: str, id_: str, value: Any, *, run: str | None = None) -> None:
    """Keep ``value`` (JSON) under ``id_``, at least until ``run`` has ended; what is there already stays.

    Raises:
        NotJson: it has no JSON form.
    """
    async with db.connection() as connection:
        await connection.execute(
            "insert into payloads (tenant, id, body, run) values (%s, %s, %s, %s) on conflict do nothing",
            [tenant, id_, dumps(value).decode(), run if run and is_id(run) else None],
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
