"""A bank outside of the platform: it keeps every refund it was asked for, and applies an idempotency key once."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

_TABLES = """
create table if not exists asked (key text, order_id text, pid integer);
create table if not exists applied (key text primary key, order_id text, cents integer);
"""


class Ledger:
    """In an SQLite file that several processes write to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def refund(self, key: str, order_id: str, cents: int) -> str:
        """Apply the refund if ``key`` is new. It takes a moment on either side, in which a process can die."""
        time.sleep(0.1)
        with closing(self._connect()) as connection, connection:
            connection.execute("insert into asked values (?, ?, ?)", (key, order_id, os.getpid()))
            connection.execute("insert or ignore into applied values (?, ?, ?)", (key, order_id, cents))
        time.sleep(0.2)
        return f"refunded {cents} cents of {order_id}"

    def asked(self) -> int:
        """How often somebody asked for a refund."""
        return self._count("select count(*) from asked")

    def refunded(self) -> int:
        """How many orders got money back."""
        return self._count("select count(distinct order_id) from applied")

    def refunded_twice(self) -> int:
        """How many orders got money back more than once."""
        return self._count("select count(*) from (select 1 from applied group by order_id having count(*) > 1)")

    def _count(self, sql: str) -> int:
        with closing(self._connect()) as connection:
            return int(connection.execute(sql).fetchone()[0])

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=10)
        connection.executescript(_TABLES)
        return connection
