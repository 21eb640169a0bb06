"""PgBouncer, in transaction mode, before a database of the test's own."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from trunkline.embedded import account
from trunkline.embedded.stack import Stack

SERVERS = 4  # connections that all clients share
_CONFIG = """
[databases]
{name} = host={socket} dbname={name} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {servers}
max_client_conn = 500
"""


@dataclass(frozen=True)
class Pooler:
    """``url`` leads through PgBouncer, ``behind`` past it."""

    url: str
    behind: str
    name: str

    def servers(self) -> int:
        """How many connections it has to Postgres."""
        with psycopg.connect(self.behind) as connection:
            row = connection.execute(
                "select count(*) from pg_stat_activity where datname = %s and pid <> pg_backend_pid()", [self.name]
            ).fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture
def pooler(stack: Stack, namespace: str, open_path: Path) -> Iterator[Pooler]:
    """Needs ``pgbouncer`` on the path."""
    behind = stack.postgres.create_database(namespace)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    where = parse_qs(urlsplit(behind).query)["host"][0]
    config = open_path / "pgbouncer.ini"
    config.write_text(_CONFIG.format(name=namespace, socket=where, port=port, servers=SERVERS))
    user = account.find()
    log = (open_path / "pgbouncer.log").open("wb")
    command = ["pgbouncer", *(["-u", user.pw_name] if user else []), str(config)]
    process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        url = f"postgresql://postgres@127.0.0.1:{port}/{namespace}"
        _until_it_answers(process, url, open_path / "pgbouncer.log")
        yield Pooler(url, behind, namespace)
    finally:
        process.terminate()
        process.wait(20)
        log.close()


def _until_it_answers(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    while process.poll() is None:
        with suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=5):
            return
    raise AssertionError(log.read_text())
