"""What could not be handled, kept with its reason. (An owner's own dead letters come with its ``append``.)"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trunkline.domain.codec import dumps, printable
from trunkline.domain.errors import UnknownDeadLetter
from trunkline.domain.ids import is_id, new_id
from trunkline.store import pages
from trunkline.store.changes import DeadLetter
from trunkline.store.database import Database


@dataclass(frozen=True, slots=True)
class Kept:
    """A dead letter's row; ``created_at`` in seconds since the epoch by Postgres's clock."""

    id: str
    tenant: str
    source: str
    reason: str
    detail: str
    subject: str
    body: Any
    attempts: int
    created_at: float


_ROW = """
select id::text, tenant, source, reason, detail, subject, body, attempts, extract(epoch from created_at)::float8
"""


async def add(db: Database, letter: DeadLetter, *, id_: str | None = None) -> str:
    """Keep ``letter`` and return its id. Under an id that is kept already nothing changes: derive it to repeat safely.

    Raises:
        NotJson: the body has no JSON form; make text of it (``readable``).
    """
    kept = id_ or new_id()
    async with db.connection() as connection:
        await connection.execute(
            "insert into dead_letters (id, tenant, source, reason, detail, subject, body, attempts)"
            " values (%s, %s, %s, %s, %s, %s, %s::json, %s) on conflict do nothing",
            [kept, letter.tenant, letter.source, printable(letter.reason), printable(letter.detail),
             printable(letter.subject), None if letter.body is None else dumps(letter.body).decode(), letter.attempts],
        )  # fmt: skip
    return kept


async def get(db: Database, tenant: str, id_: str) -> Kept:
    """One dead letter.

    Raises:
        UnknownDeadLetter: the tenant has no such dead letter.
    """
    if not is_id(id_):
        raise UnknownDeadLetter(id=id_)
    async with db.connection() as connection:
        cursor = await connection.execute(_ROW + "from dead_letters where id = %s and tenant = %s", [id_, tenant])
        row = await cursor.fetchone()
    if row is None:
        raise UnknownDeadLetter(id=id_)
    return Kept(*row)


async def list_dead_letters(
    db: Database, tenant: str, *, limit: int = 50, cursor: str | None = None
) -> tuple[list[Kept], str | None]:
    """The tenant's dead letters, newest first, and the cursor of the next page (``None`` at the end).

    Raises:
        BadInput: ``cursor`` is not one that a list gave out.
    """
    before = f"and {pages.BEFORE}" if cursor else ""
    sql = f"{_ROW}, {pages.MARK} from dead_letters where tenant = %(tenant)s {before} {pages.NEWEST}"
    parameters = {"tenant": tenant, "limit": pages.bounded(limit), **(pages.before(cursor) if cursor else {})}
    async with db.connection() as connection:
        fetched = await connection.execute(sql, parameters)
        rows = [(Kept(*row[:-1]), (row[-1], row[0])) for row in await fetched.fetchall()]
    return pages.page(rows, limit)


def readable(data: bytes, limit: int = 64 * 1024) -> str:
    """Bytes that are not JSON as text that can be kept: undecodable bytes and NUL replaced, cut to ``limit`` bytes."""
    return printable(data[:limit].decode("utf-8", "replace"))
