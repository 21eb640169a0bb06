"""The transactions that may take away what is otherwise never deleted: the database lets only these, of roles of their
own, and does not let them take long.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

import psycopg

from trunkline.domain.errors import TrunklineError
from trunkline.store.database import Connection, Database

_BEGIN = """
set local trunkline.{duty} = 'on';
set local statement_timeout = '{longest}s';
set local lock_timeout = '{patience}s'
"""


@asynccontextmanager
async def permitted(
    db: Database,
    duty: Literal["erasure", "retention"],
    *,
    longest: int,
    patience: int,
    refused: Callable[[str], TrunklineError],
    too_long: TrunklineError | None = None,
) -> AsyncIterator[Connection]:
    """A transaction for ``duty``. A statement may take ``longest`` seconds, and wait for a lock for ``patience``.

    Raises:
        TrunklineError: what ``refused`` makes of the database's words, when this role may not; ``too_long`` when it
            took longer. Nothing was done.
    """
    async with db.connection() as connection:
        try:
            async with connection.transaction():
                await connection.execute(_BEGIN.format(duty=duty, longest=longest, patience=patience).encode())
                yield connection
        except (psycopg.errors.RestrictViolation, psycopg.errors.InsufficientPrivilege) as error:
            raise refused(str(error).splitlines()[0]) from None
        except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable):
            if too_long is None:
                raise
            raise too_long from None
