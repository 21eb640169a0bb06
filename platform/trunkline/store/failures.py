"""What an error of Postgres means for whoever asked: come again, or do not send this again."""

from __future__ import annotations

import psycopg
from psycopg_pool import PoolTimeout

from trunkline.domain.errors import TrunklineError, Unavailable

# 08 connection, 25 read-only (a demoted primary), 40 deadlock or serialization, 53 out of something, 55 locked,
# 57 shut down or cancelled, 58 the server's own disk.
_PASSING = frozenset({"08", "25", "40", "53", "55", "57", "58"})


def passes(error: BaseException) -> bool:
    """Whether the same statement may well succeed later: the server is away, or something stood in the way."""
    if not isinstance(error, psycopg.Error):
        return isinstance(error, OSError)
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate[:2] in _PASSING


def refuses(error: BaseException) -> bool:
    """Whether it lies in what was sent (it cannot be encoded, or SQLSTATE 22, 23): sent again it fails again."""
    if isinstance(error, psycopg.Error):
        return isinstance(error, psycopg.DataError | psycopg.IntegrityError)
    return isinstance(error, TrunklineError | ValueError) and not isinstance(error, Unavailable)


def rolled_back(error: psycopg.Error) -> bool:
    """Whether the server itself said that this one transaction failed, and the connection goes on."""
    return error.sqlstate is not None and error.sqlstate[:2] in {"40", "55"}


def reason(error: BaseException) -> str:
    """One line for people, without a mark at its end: what the server said, or the kind of the error when it said
    nothing.
    """
    text = " ".join(str(error).split())
    if isinstance(error, PoolTimeout):
        text += ": it does not answer, or all connections of this process are in use (TRUNKLINE_DATABASE_POOL)"
    return text[:300].rstrip(".?! ") or type(error).__name__
