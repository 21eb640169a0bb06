"""The embedded servers: they survive kill and restart, share no directory, and are never left behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from trunkline.domain.errors import NotConfigured, Unavailable
from trunkline.embedded import server
from trunkline.embedded.nats import EmbeddedNats
from trunkline.embedded.postgres import EmbeddedPostgres
from trunkline.embedded.stack import Stack


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[EmbeddedNats]:
    nats = EmbeddedNats(tmp_path / "nats")
    nats.start()
    yield nats
    nats.kill()


def one(url: str, sql: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(sql).fetchone()
    return row[0] if row else None


def gone(pid: int) -> bool:
    """Whether the process ended; a zombie that nobody waits for has."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True


def wait_until_gone(*pids: int) -> None:
    deadline = time.monotonic() + 10
    while not all(map(gone, pids)):
        assert time.monotonic() < deadline, f"still there: {[pid for pid in pids if not gone(pid)]}"
        time.sleep(0.02)


def test_postgres_keeps_what_was_committed_when_it_is_killed(open_path: Path) -> None:
    postgres = EmbeddedPostgres(open_path / "postgres")
    postgres.start()
    with psycopg.connect(postgres.url) as connection:
        connection.execute("create table kept (n int)")
        connection.execute("insert into kept values (42)")
    first = postgres.pid
    postgres.kill()
    assert not postgres.running
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgres.url)
    postgres.start()
    try:
        assert postgres.pid != first
        assert one(postgres.url, "select n from kept") == 42
        assert one(postgres.url, "show fsync") == "on"
        assert one(postgres.url, "show max_connections") == "200"
        assert one(postgres.create_database("other"), "select current_database()") == "other"
        assert one(postgres.create_database("other"), "select current_database()") == "other"
    finally:
        postgres.stop()
    wait_until_gone(first)


def test_postgres_finds_a_place_for_its_socket_under_a_long_path(open_path: Path) -> None:
    postgres = EmbeddedPostgres(open_path / ("long" * 20) / "a b%c")
    postgres.start()
    try:
        assert one(postgres.url, "select 1") == 1
    finally:
        postgres.stop()


def test_nats_keeps_its_port_over_kill_and_wipe(nats: EmbeddedNats) -> None:
    url, first = nats.url, nats.pid
    nats.kill()
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", nats.port)):
        pass
    nats.start()
    assert nats.url == url
    assert nats.pid != first
    nats.wipe()
    nats.start()
    assert nats.url == url


def test_two_servers_do_not_share_a_directory(nats: EmbeddedNats, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "FREE_WITHIN", 0.1)
    with pytest.raises(NotConfigured, match="Another one is at work"):
        EmbeddedNats(nats.directory).start()
    assert nats.running


def test_a_server_that_cannot_start_says_why(nats: EmbeddedNats, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="address already in use"):
        EmbeddedNats(tmp_path / "other", port=nats.port).start()


PARENT = """
import sys, time
from pathlib import Path
from trunkline.embedded.stack import Stack
stack = Stack(Path(sys.argv[1]))
stack.start()
print(stack.nats.pid, stack.postgres.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("end", ["killed", "left without stopping"])
def test_servers_do_not_outlive_their_parent(open_path: Path, end: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, open_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2
    if end == "killed":
        parent.kill()
    parent.communicate()
    wait_until_gone(*pids)
    with Stack(open_path) as again:  # the directory is free and whole
        assert one(again.postgres.url, "select 1") == 1


def test_a_temporary_stack_leaves_nothing_behind() -> None:
    with Stack() as stack:
        pids = [stack.nats.pid, stack.postgres.pid]
        assert stack.settings(tenant="acme").tenant == "acme"
        assert stack.environment(log_level="debug") == {
            "TRUNKLINE_NATS_URL": stack.nats.url,
            "TRUNKLINE_DATABASE_URL": stack.postgres.url,
            "TRUNKLINE_LOG_LEVEL": "debug",
        }
    wait_until_gone(*pids)
    assert not stack.directory.exists()
