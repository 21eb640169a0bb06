"""What could not be handled, kept with its reason. (An owner's own dead letters come with its ``append``.)"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trunkline.domain.codec import dumps, printable
from trunkline.domain.errors import UnknownDeadLetter
from trunkline.domain.ids import is_id, new_id
from trunkline.store import pages
from trunkline.store.changes import DeadLetter
from trunkline.store.database import Connection, Database


@dataclass(frozen=True, slots=True)
class Kept:
    """A dead letter's row; times in seconds since the epoch by Postgres's clock.

    ``settled_as`` is ``redriven`` or ``discarded`` once somebody has dealt with it, and empty until then.
    """

    id: str
    tenant: str
    source: str
    reason: str
    detail: str
    subject: str
    body: Any
    attempts: int
    created_at: float
    settled_at: float | None = None
    settled_as: str = ""


_ROW = """
select id::text, tenant, source, reason, detail, subject, body, attempts, extract(epoch from created_at)::float8,
       extract(epoch from settled_at)::float8, settled_as
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
    db: Database, tenant: str, *, source: str | None = None, limit: int = 50, cursor: str | None = None
) -> tuple[list[Kept], str | None]:
    """The tenant's dead letters that nobody has settled, newest first, and the next page's cursor (``None``: the end).

    Raises:
        BadInput: ``cursor`` is not one that a list gave out.
    """
    before = f"and {pages.BEFORE}" if cursor else ""
    of = "and source = %(source)s" if source else ""
    sql = f"{_ROW}, {pages.MARK} from dead_letters where tenant = %(tenant)s and settled_at is null {of} {before}"
    sql += " " + pages.NEWEST.format(table="dead_letters")
    parameters = {"tenant": tenant, "source": source, "limit": pages.bounded(limit)}
    if cursor:
        parameters |= pages.before(cursor)
    async with db.connection() as connection:
        fetched = await connection.execute(sql, parameters)
        rows = [(Kept(*row[:-1]), (row[-1], row[0])) for row in await fetched.fetchall()]
    return pages.page(rows, limit)


async def discard(db: Database, tenant: str, id_: str) -> bool:
    """Settle a dead letter without doing anything with it. Returns False when it was settled before."""
    async with db.connection() as connection:
        return await settle(connection, tenant, id_, "discarded")


async def settle(connection: Connection, tenant: str, id_: str, how: str) -> bool:
    """Mark a dead letter as dealt with, in the connection's transaction; False when it was so before."""
    cursor = await connection.execute(
        "update dead_letters set settled_at = now(), settled_as = %s"
        " where id = %s and tenant = %s and settled_at is null",
        [how, id_, tenant],
    )
    return cursor.rowcount == 1


def readable(data: bytes, limit: int = 64 * 1024) -> str:
    """Bytes that are not JSON as text that can be kept: undecodable bytes and NUL replaced, cut to ``limit`` bytes."""
    return printable(data[:limit].decode("utf-8", "replace"))
