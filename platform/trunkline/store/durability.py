"""How safely this Postgres keeps what it was told: the settings on which "accepted is never lost" rests."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.store.database import Database


@dataclass(frozen=True, slots=True)
class Durability:
    """The server's settings by their own names and words, and how many replicas stream from it just now."""

    server_version: str
    fsync: str
    full_page_writes: str
    synchronous_commit: str
    synchronous_standby_names: str
    replicas: int


async def read(db: Database) -> Durability:
    """Ask the server.

    Raises:
        Unreachable: Postgres does not answer.
    """
    async with db.connection() as connection:
        cursor = await connection.execute(
            "select current_setting('server_version'), current_setting('fsync'), current_setting('full_page_writes'),"
            " current_setting('synchronous_commit'), current_setting('synchronous_standby_names'),"
            " (select count(*) from pg_stat_replication)"
        )
        row = await cursor.fetchone()
    assert row is not None
    return Durability(*row)
