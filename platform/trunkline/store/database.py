"""One process's way to Postgres: a bounded pool of psycopg connections into one schema.

A connection that the server closed while it lay in the pool is noticed before it is handed out (by a look at its
socket, without a round trip), and a server that is away is tried again about once a second, for ever: callers get
``Unreachable`` meanwhile, and need do nothing to recover.

Behind a pooler in transaction mode (``pooled``) every transaction may meet another session. So nothing is prepared
there, settings go with the transaction that needs them, and the schema is the one that the role is set to.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool

from trunkline.domain.codec import loads
from trunkline.domain.errors import NotConfigured, NotUnderstood, Unavailable
from trunkline.observe import logs
from trunkline.settings import Settings
from trunkline.store.arrays import register_arrays
from trunkline.store.failures import passes, reason
from trunkline.store.listening import ListeningConnection
from trunkline.store.lookups import Lookups
from trunkline.store.own_connection import check_open

log = logs.get("store")
logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # it repeats at every attempt what is said here once

Connection = psycopg.AsyncConnection[Any]

PATIENCE = 3.0  # seconds that a caller waits for a connection
_LESS_PATIENCE = 0.5  # … when others have waited in vain before
_RETRY_EVERY = 1.0
_LONG = 86400.0  # seconds that nobody counts
_DEFAULTS = {
    "connect_timeout": "5",
    # A host that vanished without a word is given up within about 15 s.
    "keepalives_idle": "5",
    "keepalives_interval": "5",
    "keepalives_count": "2",
    "tcp_user_timeout": "15000",
}
# A plan that was kept from when the tables were small would read them whole when they have grown.
_SESSION = {"plan_cache_mode": "force_custom_plan"}
_LOCALLY = "select set_config(name, value, true) from unnest(%s::text[], %s::text[]) as s(name, value)"
_AS_IT_IS = nullcontext()


class Unreachable(Unavailable):
    """Postgres cannot be reached: {reason}. Try again; a repeat with the same idempotency key is harmless."""

    code = "unavailable"
    sent = False  # whether something was under way, which may have been done all the same


class Database:
    """Made by ``Database.open``. ``schema`` holds Trunkline's tables; every connection finds it first."""

    def __init__(self, conninfo: str, schema: str, pool: AsyncConnectionPool[Connection], *, pooled: bool) -> None:
        self.schema = schema
        self.pool = pool
        self.lookups = Lookups(self)
        self.closing: list[Callable[[], Awaitable[None]]] = [self.lookups.close]  # what goes first when this is closed
        self._conninfo, self._pooled = conninfo, pooled
        self._away = False

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        schema: str = "public",
        size: int = 4,
        wait: float | None = None,
        name: str = "",
        pooled: bool = False,
    ) -> Database:
        """Connect, with at most ``size`` connections, as ``name``. With ``wait``, keep trying for so many seconds.

        Raises:
            Unreachable: there was no connection to be had.
            NotUnderstood: ``url`` is not a libpq URL or connection string.
            NotConfigured: behind a pooler, the role's ``search_path`` does not begin with ``schema``.
        """
        conninfo = connection_info(url, None if pooled else schema, name=name)
        await _first_contact(conninfo, wait, schema if pooled else None)
        pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            conninfo,
            min_size=1,
            max_size=size,
            kwargs={"autocommit": True, **_prepared(not pooled)},
            configure=_configure,
            check=check_open,
            timeout=PATIENCE,
            reconnect_timeout=_RETRY_EVERY,
            reconnect_failed=_try_again,
            open=False,
        )
        await pool.open()
        return cls(conninfo, schema, pool, pooled=pooled)

    @classmethod
    async def of(
        cls, settings: Settings, *, size: int | None = None, wait: float | None = None, name: str = ""
    ) -> Database:
        """Connect to where ``settings`` lead; the others as ``open``, without ``size`` as the settings say.

        Raises:
            Unreachable: there was no connection to be had.
            NotConfigured: as ``open``.
        """
        return await cls.open(
            settings.database_url.get_secret_value(),
            schema=settings.database_schema,
            size=size or settings.database_pool,
            wait=wait,
            name=name,
            pooled=settings.database_pooled,
        )

    async def close(self) -> None:
        for close in self.closing:
            await close()
        await self.pool.close()

    async def ping(self) -> None:
        """One round trip.

        Raises:
            Unreachable: Postgres does not answer.
        """
        async with self.connection() as connection:
            await connection.execute("select 1")

    async def now(self) -> float:
        """Postgres's clock, in seconds since the epoch."""
        async with self.connection() as connection:
            cursor = await connection.execute("select extract(epoch from clock_timestamp())::float8")
            row = await cursor.fetchone()
        assert row is not None
        return float(row[0])

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection of the pool, in autocommit.

        Raises:
            Unreachable: there is none, or it was lost on the way: what was sent may or may not have been done.
        """
        sent = False
        try:
            async with self.pool.connection(_LESS_PATIENCE if self._away else PATIENCE) as connection:
                self.back()
                sent = True
                yield connection
        except (psycopg.Error, OSError) as error:
            if not passes(error):
                raise
            raise self.gone(error, sent=sent) from error

    async def connect(self, settings: Mapping[str, str]) -> Connection:
        """A connection of its own, outside the pool (``psycopg.Error`` when it fails). What is executed under
        ``planned`` has these server settings.
        """
        conninfo = self._conninfo if self._pooled else _with_settings(self._conninfo, settings)
        connection = await ListeningConnection.connect(conninfo, autocommit=True, **_prepared(not self._pooled))
        await _configure(connection)
        return connection

    def planned(self, connection: Connection, settings: Mapping[str, str]) -> AbstractAsyncContextManager[Any]:
        """Around one statement on a connection of ``connect``: the ``settings`` that this was made with."""
        return _with_statement(connection, settings) if self._pooled else _AS_IT_IS

    def connect_in_thread(self) -> psycopg.Connection[Any]:
        """A connection of its own for a thread that cannot use the event loop; it blocks the thread."""
        return psycopg.connect(self._conninfo, **_prepared(False))

    def gone(self, error: BaseException, *, sent: bool) -> Unreachable:
        """What to raise for ``error``, which is said in the log when Postgres was there until now."""
        if not self._away:
            log.warning("Postgres is away", reason=reason(error))
        self._away = True
        unreachable = Unreachable(reason=reason(error))
        unreachable.sent = sent
        return unreachable

    def back(self) -> None:
        """It answered."""
        if self._away:
            log.info("Postgres is back")
            self._away = False


def connection_info(url: str, schema: str | None, *, name: str = "") -> str:
    """The libpq connection string of ``url`` whose sessions live in ``schema`` (``None``: they have no settings of
    ours); sockets and TLS as libpq takes them. ``name`` is what Postgres shows them as, behind ours.

    Raises:
        NotUnderstood: ``url`` is not a libpq URL or connection string.
    """
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:  # whose text repeats the URL, with its password
        why = "it is no URL of a database; write postgresql://user:password@host/database"
        raise NotUnderstood(what="The database's URL (TRUNKLINE_DATABASE_URL)", reason=why) from None
    ours = {**_DEFAULTS, "application_name": f"trunkline {name}".strip()}
    conninfo = make_conninfo(url, **{option: value for option, value in ours.items() if option not in given})
    return conninfo if schema is None else _with_settings(conninfo, {"search_path": quoted(schema), **_SESSION})


def quoted(name: str) -> str:
    """``name`` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _with_settings(conninfo: str, settings: Mapping[str, str]) -> str:
    options = [str(conninfo_to_dict(conninfo).get("options") or "")]
    for name, value in settings.items():
        escaped = value.replace("\\", "\\\\").replace(" ", "\\ ")
        options.append(f"-c {name}={escaped}")
    return make_conninfo(conninfo, options=" ".join(filter(None, options)))


def _prepared(often: bool) -> dict[str, Any]:
    """Whether statements that come again and again are prepared; ``None`` overrules those that ask for it."""
    return {} if often else {"prepare_threshold": None}


@asynccontextmanager
async def _with_statement(connection: Connection, settings: Mapping[str, str]) -> AsyncIterator[None]:
    """What is sent in one pipeline is one transaction, and one round trip."""
    async with connection.pipeline():
        await connection.execute(_LOCALLY, [list(settings), list(settings.values())])
        yield


async def _first_contact(conninfo: str, wait: float | None, path: str | None) -> None:
    deadline = time.monotonic() + (wait or 0.0)
    delay, told = 0.1, False
    while True:
        try:
            found = await _path(conninfo)
        except (psycopg.Error, OSError) as error:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Unreachable(reason=reason(error)) from None
            if not told:
                trying = f"for {left:.0f} s" if left < _LONG else "until it is there"
                log.warning("Postgres cannot be reached yet", reason=reason(error), trying=trying)
                told = True
            await asyncio.sleep(min(delay, left))
            delay = min(delay * 2, 2.0)
        else:
            if path is None or path in found:
                return
            fix = f"A pooler keeps it for no session, so: alter role … set search_path = {quoted(path)}"
            raise NotConfigured(what=f"A database role whose search_path begins with {path!r}", fix=fix)


async def _path(conninfo: str) -> tuple[str, str]:
    """Where a new session looks first: the schema that is there, and the one that it would be."""
    async with await psycopg.AsyncConnection.connect(conninfo, prepare_threshold=None) as connection:
        cursor = await connection.execute("select current_schema(), current_setting('search_path')")
        current, path = await cursor.fetchone() or (None, "")
    return current or "", path.split(",")[0].strip().strip('"')


async def _configure(connection: Connection) -> None:
    set_json_loads(loads, connection)
    register_arrays(connection.adapters)


async def _try_again(pool: AsyncConnectionPool[Connection]) -> None:
    await pool.check()
