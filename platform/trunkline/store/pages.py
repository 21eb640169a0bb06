"""Lists in pages. A cursor names the last row seen by the columns that the list is ordered by, so that new rows shift
nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, TypeVar
from uuid import UUID

from trunkline.domain.codec import dumps, loads
from trunkline.domain.errors import BadInput, TrunklineError

# Newest first: what such a query selects last, continues from, and orders by. A bare "id" there would be the one that
# is selected, which is text: no index has its order, and each page would sort all that there is.
MARK = "(extract(epoch from created_at) * 1000000)::bigint"
BEFORE = "(created_at, id) < ('epoch'::timestamptz + %(mark)s * interval '1 microsecond', %(last)s::uuid)"
NEWEST = "order by {table}.created_at desc, {table}.id desc limit %(limit)s"
MAX_LIMIT = 1000

Item = TypeVar("Item")


def bounded(limit: int) -> int:
    """One row more than asked for tells whether there is a next page."""
    return max(1, min(limit, MAX_LIMIT)) + 1


def cursor_of(*columns: str | int) -> str:
    return base64.urlsafe_b64encode(dumps(columns)).decode().rstrip("=")


def columns_of(cursor: str, kinds: tuple[type, ...]) -> list[Any]:
    """The columns that ``cursor`` was made of.

    Raises:
        BadInput: it is not a cursor that such a list gave out.
    """
    try:
        columns = loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars="-_", validate=True))
    except (ValueError, TrunklineError):
        columns = None
    if not isinstance(columns, list) or tuple(map(type, columns)) != kinds:
        raise BadInput(target="the list", reason="the cursor is not one that this list gave out")
    return columns


def before(cursor: str) -> dict[str, Any]:
    """The parameters of ``BEFORE``.

    Raises:
        BadInput: as ``columns_of``.
    """
    mark, last = columns_of(cursor, (int, str))
    try:
        return {"mark": min(max(mark, 0), 1 << 52), "last": str(UUID(last))}
    except ValueError:
        raise BadInput(target="the list", reason="the cursor is not one that this list gave out") from None


def page(rows: Sequence[tuple[Item, tuple[str | int, ...]]], limit: int) -> tuple[list[Item], str | None]:
    """(items, cursor of the next page or ``None``) of rows that were fetched with ``bounded(limit)``.

    Each row comes with the columns that it is ordered by.
    """
    size = bounded(limit) - 1
    items = [item for item, _ in rows[:size]]
    return items, cursor_of(*rows[size - 1][1]) if len(rows) > size else None
