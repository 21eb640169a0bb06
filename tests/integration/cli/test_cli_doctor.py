"""``trunkline doctor`` and ``trunkline migrate`` against real servers, and the verdicts on Postgres's settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest

from trunkline.bus.connection import Bus
from trunkline.cli.diagnosis import durable, erasing, removing
from trunkline.embedded.stack import Stack
from trunkline.settings import Settings
from trunkline.store import version
from trunkline.store.durability import Durability
from trunkline.store.retention import Role

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
        "retention": "note", "erasure": "note",
        "NATS": "ok", "JetStream": "ok", "streams": "ok", "fsync of NATS": "note",
    }  # fmt: skip


def test_what_is_missing_is_named_with_how_to_mend_it(run: Run) -> None:
    done = run("doctor")
    assert done.returncode == 1
    assert "→ trunkline migrate" in done.stdout
    assert "EVENTS is missing" in done.stdout
    assert "\x1b[" not in done.stdout


async def test_a_stream_that_differs_is_named_with_how_to_mend_it(run: Run, settings: Settings) -> None:
    bus = await Bus.connect(settings.model_copy(update={"events_max_age": 3600.0}), name="test")
    await bus.declare()
    await bus.close()
    done = run("doctor", "--json")
    assert done.returncode == 1
    [wrong] = [finding for finding in json.loads(done.stdout) if finding["state"] == "wrong"]
    assert wrong["what"] == "streams"
    assert "max_age is 3600 s, needed 604800 s" in wrong["detail"]
    assert wrong["fix"].startswith("nats stream edit")


@pytest.mark.parametrize(("at", "fix"), [("0000", "trunkline migrate"), ("9999", "a newer trunkline migrated it")])
def test_a_schema_at_another_version_is_named(run: Run, settings: Settings, at: str, fix: str) -> None:
    with psycopg.connect(settings.database_url.get_secret_value(), autocommit=True) as connection:
        connection.execute(f"update {settings.database_schema}.alembic_version set version_num = '{at}'")
    done = run("doctor", "--json")
    [schema] = [finding for finding in json.loads(done.stdout) if finding["what"] == "schema"]
    assert f"is at {at}, needed {version.NEEDED}" in schema["detail"]
    assert schema["fix"].startswith(fix)


def test_urls_that_make_no_sense_are_told_and_no_password_is(run: Run) -> None:
    odd = {"TRUNKLINE_DATABASE_URL": "nonsense://me:hunter2@", "TRUNKLINE_NATS_URL": "nats://"}
    done = run("doctor", **odd)
    assert done.returncode == 1
    assert "wrong       Postgres: it is no URL of a database" in done.stdout
    assert "Write nats://host:4222" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr


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


@pytest.mark.parametrize("command", [("migrate", "--wait", "0"), ("check",)])
@pytest.mark.parametrize(
    ("url", "status", "words"),
    [
        ("postgresql://me:hunter2@127.0.0.1:1/trunkline", 3, "Postgres cannot be reached"),
        ("nonsense://me:hunter2@", 2, "The database's URL (TRUNKLINE_DATABASE_URL): it is no URL of a database"),
    ],
)
def test_without_postgres_it_is_one_line(run: Run, command: tuple[str, ...], url: str, status: int, words: str) -> None:
    done = run(*command, TRUNKLINE_DATABASE_URL=url)
    assert done.returncode == status
    assert done.stderr.startswith(f"trunkline: {words}")
    assert "hunter2" not in done.stderr
    assert "idempotency" not in done.stderr
    assert "?." not in done.stderr
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


@pytest.mark.parametrize(
    ("role", "days", "state", "says"),
    [
        (Role("me", exists=False, member=False), 0.0, "note", "kept for ever"),
        (Role("me", exists=False, member=False), 30.0, "note", "there is no role trunkline_retention"),
        (Role('m"e', exists=True, member=False), 30.0, "wrong", "nothing is removed"),
        (Role("me", exists=True, member=True), 30.0, "ok", "ended 30 days ago is removed"),
    ],
)
def test_who_may_remove_is_looked_at(role: Role, days: float, state: str, says: str) -> None:
    found = removing(role, days)
    assert (found.state, says in found.detail) == (state, True)
    if state == "wrong":
        assert found.fix == 'as superuser: grant trunkline_retention to "m""e";'


@pytest.mark.parametrize(
    ("exists", "member", "state", "says"),
    [(False, False, "note", "there is no role"), (True, False, "wrong", "nothing"), (True, True, "ok", "alone")],
)
def test_who_may_erase_is_looked_at(exists: bool, member: bool, state: str, says: str) -> None:
    found = erasing(Role("me", exists=exists, member=member))
    assert (found.state, says in found.detail) == (state, True)
