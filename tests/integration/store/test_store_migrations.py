"""Migrations lead from nothing to the newest revision and back, anywhere, however many start at once."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

import trunkline_migrations
from trunkline.domain.errors import BadDeclaration, SchemaMismatch
from trunkline.store import migrate, version
from trunkline.store.database import Database, Unreachable, connection_info
from trunkline.store.schema import metadata

FILES = Path(trunkline_migrations.__path__[0], "versions").glob("[0-9]*.py")
REVISIONS = sorted(file.name.partition("_")[0] for file in FILES)


def relations(url: str, schema: str) -> int:
    with psycopg.connect(url) as connection:
        query = "select count(*) from pg_class where relnamespace = to_regnamespace(%s)"
        [count] = connection.execute(query, [f'"{schema}"']).fetchone() or (0,)
        return int(count)


@pytest.fixture
def unmigrated(url: str):
    """The name of a schema that does not exist, and that does not make it easy."""
    name = f'Odd "one"\\ {uuid4().hex[:8]}'
    yield name
    with psycopg.connect(url, autocommit=True) as connection:
        quoted = name.replace('"', '""')
        connection.execute(f'set client_min_messages = warning; drop schema if exists "{quoted}" cascade')


def test_from_nothing_to_head_and_back(url: str, unmigrated: str) -> None:
    told: list[str] = []
    assert migrate.current(url, unmigrated) is None
    migrate.upgrade(url, unmigrated, told=told.append)
    assert migrate.current(url, unmigrated) == migrate.head()
    migrate.upgrade(url, unmigrated, told=told.append)
    migrate.downgrade(url, unmigrated, told=told.append)
    assert migrate.current(url, unmigrated) is None
    with psycopg.connect(url) as connection:
        query = "select relname from pg_class c join pg_namespace n on n.oid = relnamespace where nspname = %s"
        assert connection.execute(query, [unmigrated]).fetchall() == []
    migrate.upgrade(url, unmigrated)
    assert told == [
        *(f"upgraded to {one}" for one in REVISIONS),
        *(f"downgraded from {one}" for one in REVISIONS[::-1]),
    ]


def test_many_that_start_at_once_upgrade_once(url: str, unmigrated: str) -> None:
    told: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(migrate.upgrade, url, unmigrated, told=told.append) for _ in range(4)]:
            done.result(20)
    assert told == [f"upgraded to {one}" for one in REVISIONS]


def test_needs_no_file_and_says_nothing(url: str, unmigrated: str, tmp_path: Path) -> None:
    code = "import sys; from trunkline.store import migrate; migrate.upgrade(*sys.argv[1:])"
    command = [sys.executable, "-c", code, url, unmigrated]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    assert migrate.current(url, unmigrated) == migrate.head()


def test_needs_no_more_than_the_right_to_create_tables(url: str, unmigrated: str) -> None:
    role = f"plain{uuid4().hex[:8]}"
    quoted = unmigrated.replace('"', '""')
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create role {role} login")
        connection.execute(f'create schema "{quoted}" authorization {role}')
    try:
        migrate.upgrade(psycopg.conninfo.make_conninfo(url, user=role), unmigrated)
        migrate.downgrade(psycopg.conninfo.make_conninfo(url, user=role), unmigrated)
        with pytest.raises(BadDeclaration, match=r"permission denied .* Let its role create schemas"):
            migrate.upgrade(psycopg.conninfo.make_conninfo(url, user=role), f"{unmigrated} too")
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"drop owned by {role} cascade; drop role {role}")


def test_the_schema_is_what_the_metadata_says(url: str, schema: str) -> None:
    info = connection_info(url, schema)
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(info), poolclass=NullPool)

    def ours(name: str | None, kind: str, _: object) -> bool:
        return kind != "table" or not str(name).startswith(("journal_", "alembic_"))

    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True, "include_name": ours}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
    engine.dispose()


async def test_check_names_what_is_and_what_is_needed(url: str, schema: str, unmigrated: str) -> None:
    db = await Database.open(url, schema=schema)
    await version.check(db)
    await db.close()
    db = await Database.open(url, schema=unmigrated)
    with pytest.raises(SchemaMismatch, match=rf"at nothing .* needs {version.NEEDED}. Run: trunkline migrate"):
        await version.check(db)
    await db.close()


def test_the_code_needs_the_newest_revision() -> None:
    assert migrate.head() == version.NEEDED


def test_who_only_looks_does_not_load_alembic() -> None:
    code = "import sys, trunkline_workers.agent.service; sys.exit(bool({'alembic', 'sqlalchemy'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_newer_schema_is_named(url: str, schema: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"update {schema}.alembic_version set version_num = '9999'")
    with pytest.raises(SchemaMismatch, match="at 9999"):
        migrate.upgrade(url, schema)


def test_an_absent_server_is_named() -> None:
    with pytest.raises(Unreachable, match="refused"):
        migrate.upgrade("postgresql://nobody@127.0.0.1:1/none")


def test_a_schema_is_dropped_with_all_that_is_in_it(url: str, unmigrated: str) -> None:
    migrate.upgrade(url, unmigrated)
    assert migrate.current(url, unmigrated) == migrate.head()
    migrate.drop(url, unmigrated)
    assert migrate.current(url, unmigrated) is None
    migrate.drop(url, unmigrated)
