"""Brings the tables to the version that this code needs.

Alembic runs the revisions of ``trunkline_migrations`` from wherever that package is installed; no file on disk
configures it. One upgrade is one transaction, under an advisory lock of the schema: of several that start at once the
first works and the others find nothing left to do. No more rights are needed than to create tables in the schema (and
the schema itself, when it is not there).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.pool import NullPool

from trunkline.domain.errors import BadDeclaration, SchemaMismatch
from trunkline.store.database import Unreachable, connection_info, quoted
from trunkline.store.failures import reason

Told = Callable[[str], None]

_PATH = text("select set_config('search_path', :schema, true)")
_LOCK = text("select pg_advisory_xact_lock(hashtextextended('trunkline migrate ' || :schema, 0))")


def upgrade(url: str, schema: str = "public", revision: str = "head", *, told: Told | None = None) -> None:
    """Bring ``schema`` to ``revision``, creating it if it is missing. ``told`` hears of every revision applied.

    Raises:
        SchemaMismatch: it is at a revision that this version does not know.
        BadDeclaration: the database role may not create tables there.
        Unreachable: there is no connection to be had.
    """
    with _connected(url, schema) as connection:
        connection.execute(_LOCK, {"schema": schema})
        known = connection.scalar(text("select count(*) from pg_namespace where nspname = :schema"), {"schema": schema})
        if not known:
            connection.exec_driver_sql(f"create schema {quoted(schema)}")
        try:
            command.upgrade(_config(connection, schema, told), revision)
        except CommandError:
            found = current_of(connection, schema)
            raise SchemaMismatch(found=found or "nothing", needed=revision if revision != "head" else head()) from None


def downgrade(url: str, schema: str = "public", revision: str = "base", *, told: Told | None = None) -> None:
    """Bring ``schema`` back to ``revision``; ``base`` is before the first, with no table left.

    Raises:
        Unreachable: there is no connection to be had.
    """
    with _connected(url, schema) as connection:
        connection.execute(_LOCK, {"schema": schema})
        command.downgrade(_config(connection, schema, told), revision)
        if current_of(connection, schema) is None:
            connection.exec_driver_sql("drop table if exists alembic_version")


def drop(url: str, schema: str) -> None:
    """Remove ``schema`` with all that is in it. For tests, which have one of their own.

    Raises:
        Unreachable: there is no connection to be had.
    """
    with _connected(url, schema) as connection:
        connection.exec_driver_sql("set local client_min_messages = warning")
        connection.exec_driver_sql(f"drop schema if exists {quoted(schema)} cascade")


def current(url: str, schema: str = "public") -> str | None:
    """The revision that ``schema`` is at; ``None`` before the first.

    Raises:
        Unreachable: there is no connection to be had.
    """
    with _connected(url, schema) as connection:
        return current_of(connection, schema)


def current_of(connection: Connection, schema: str) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table_schema": schema}).get_current_revision()


@cache
def head() -> str:
    """The newest revision that there is."""
    newest = ScriptDirectory.from_config(_config(None, "public", None)).get_current_head()
    assert newest is not None
    return newest


@contextmanager
def _connected(url: str, schema: str) -> Iterator[Connection]:
    conninfo = connection_info(url, None, name="migrate")
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(conninfo, prepare_threshold=None),
        poolclass=NullPool,
        use_native_hstore=False,
    )
    try:
        with engine.begin() as connection:  # its settings go with the transaction: there may be a pooler
            connection.execute(_PATH, {"schema": quoted(schema)})
            yield connection
    except OperationalError as error:
        raise Unreachable(reason=reason(error.orig or error)) from None
    except ProgrammingError as error:
        if not isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
            raise
        fix = "Let its role create schemas in the database, or make the schema yourself and give it to the role."
        raise BadDeclaration(what=f"The migration of schema {schema!r}", reason=reason(error.orig), fix=fix) from None
    finally:
        engine.dispose()


def _config(connection: Connection | None, schema: str, told: Told | None) -> Config:
    spec = find_spec("trunkline_migrations")
    assert spec is not None
    assert spec.submodule_search_locations
    config = Config()
    config.set_main_option("script_location", spec.submodule_search_locations[0].replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes.update(connection=connection, schema=schema, on_version_apply=_teller(told))
    return config


def _teller(told: Told | None) -> Callable[..., None] | None:
    if told is None:
        return None

    def applied(*, step: Any, **_: Any) -> None:
        told(f"{'upgraded to' if step.is_upgrade else 'downgraded from'} {step.up_revision_id}")

    return applied
