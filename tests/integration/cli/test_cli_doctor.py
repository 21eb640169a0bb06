"""``trunkline doctor`` and ``trunkline migrate`` against real servers, and the verdicts on Postgres's settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from trunkline.bus.connection import Bus
from trunkline.cli.diagnosis import durable
from trunkline.embedded.stack import Stack
from trunkline.settings import Settings
from trunkline.store.durability import Durability

Run = Callable[..., subprocess.CompletedProcess[str]]

SAFE = Durability(
    "18", fsync="on", full_page_writes="on", synchronous_commit="on", synchronous_standby_names="", replicas=0
)


@pytest.fixture
def run(stack: Stack, namespace: str) -> Run:
    """Run ``trunkline …`` against this test's schema and streams."""

    def call(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **stack.environment(namespace=namespace, database_schema=namespace), **variables}
        command = [sys.executable, "-m", "trunkline.cli.main", *arguments]
        return subprocess.run(command, env=environment, check=False, capture_output=True, text=True)

    return call


async def test_all_is_well(run: Run, settings: Settings) -> None:
    bus = await Bus.connect(settings, name="test")
    await bus.declare()
    await bus.close()
    done = run("doctor", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    states = {finding["what"]: finding["state"] for finding in json.loads(done.stdout)}
    assert states == {
        "Postgres": "ok", "schema": "ok", "fsync": "ok", "full_page_writes": "ok", "commit": "ok",
        "NATS": "ok", "JetStream": "ok", "streams": "ok", "fsync of NATS": "note",
    }  # fmt: skip


def test_what_is_missing_is_named_with_how_to_mend_it(run: Run) -> None:
    done = run("doctor")
    assert done.returncode == 1
    assert "→ trunkline migrate" in done.stdout
    assert "EVENTS is missing" in done.stdout
    assert "\x1b[" not in done.stdout


def test_migrate_brings_the_schema(run: Run) -> None:
    first, second = run("migrate"), run("migrate")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert "upgraded to" in first.stdout
    assert "upgraded to" not in second.stdout
    assert "→ trunkline migrate" not in run("doctor").stdout


def test_servers_that_are_away_are_told_in_a_line_each_and_no_password_is(run: Run) -> None:
    away = {
        "TRUNKLINE_DATABASE_URL": "postgresql://me:hunter2@127.0.0.1:1/trunkline",
        "TRUNKLINE_NATS_URL": "nats://me:hunter2@127.0.0.1:1",
    }
    done = run("doctor", **away)
    assert done.returncode == 3
    assert done.stdout.count("unreachable") == 2
    assert "hunter2" not in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_migrate_without_postgres(run: Run) -> None:
    done = run("migrate", "--wait", "0", TRUNKLINE_DATABASE_URL="postgresql://me:hunter2@127.0.0.1:1/trunkline")
    assert done.returncode == 3
    assert done.stderr.startswith("trunkline: Postgres cannot be reached")
    assert "hunter2" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("changed", "what", "fix"),
    [
        ({"fsync": "off"}, "fsync", "set fsync = 'on'"),
        ({"full_page_writes": "off"}, "full_page_writes", "set full_page_writes = 'on'"),
        ({"synchronous_commit": "off"}, "commit", "set synchronous_commit = 'on'"),
        ({"replicas": 2}, "commit", "set synchronous_standby_names = 'ANY 1 (*)'"),
        (
            {"replicas": 2, "synchronous_standby_names": "ANY 1 (*)", "synchronous_commit": "local"},
            "commit",
            "set synchronous_commit = 'on'",
        ),
    ],
)
def test_unsafe_settings_are_wrong(changed: dict[str, object], what: str, fix: str) -> None:
    [wrong] = [finding for finding in durable(replace(SAFE, **changed)) if finding.state == "wrong"]
    assert wrong.what == what
    assert fix in wrong.fix


def test_safe_settings_are_not() -> None:
    with_replicas = replace(SAFE, replicas=2, synchronous_standby_names="ANY 1 (a, b)")
    for safe in (SAFE, with_replicas):
        assert {finding.state for finding in durable(safe)} == {"ok"}
