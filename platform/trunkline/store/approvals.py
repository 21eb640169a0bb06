"""Decisions that runs wait for. Rows come with the step that asks and are closed with its end, both by ``append``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trunkline.domain.errors import UnknownApproval
from trunkline.domain.ids import is_id
from trunkline.store import pages
from trunkline.store.database import Database


@dataclass(frozen=True, slots=True)
class Pending:
    """One that nobody has decided. Times are seconds since the epoch by Postgres's clock."""

    id: str
    agent: str
    key: str
    run: str
    step: str
    name: str
    subject: Any
    digest: str
    created_at: float
    expires_at: float | None


_ROW = """
select id::text, agent, key, run::text, step, name, subject, digest, extract(epoch from created_at)::float8,
       extract(epoch from expires_at)::float8
"""


_NEWEST = pages.NEWEST.format(table="approvals")

_DECIDED = """
select a.run::text, m.digest
from approvals a join mailbox m on m.tenant = a.tenant and m.instance = a.instance and m.message_id = %(message)s
where a.id = %(id)s and a.tenant = %(tenant)s
"""


async def get(db: Database, tenant: str, id_: str) -> Pending:
    """One by its id.

    Raises:
        UnknownApproval: there is none, it was decided, or its run no longer waits for it.
    """
    if not is_id(id_):
        raise UnknownApproval(id=id_)
    async with db.connection() as connection:
        cursor = await connection.execute(
            _ROW + "from approvals where id = %s and tenant = %s and closed_at is null", [id_, tenant]
        )
        row = await cursor.fetchone()
    if row is None:
        raise UnknownApproval(id=id_)
    return Pending(*row)


async def decided(db: Database, tenant: str, id_: str) -> tuple[str, str] | None:
    """The run, and the digest of the decision, of one that was decided; ``None`` if nobody did."""
    if not is_id(id_):
        return None
    async with db.connection() as connection:
        cursor = await connection.execute(_DECIDED, {"id": id_, "tenant": tenant, "message": message_id(id_.lower())})
        return await cursor.fetchone()


def message_id(id_: str) -> str:
    """Under which the decision is mail, so that there is one."""
    return f"approval:{id_}"


async def list_approvals(
    db: Database, tenant: str, *, limit: int = 50, cursor: str | None = None
) -> tuple[list[Pending], str | None]:
    """What the tenant's runs wait for, newest first, and the cursor of the next page (``None`` at the end).

    Raises:
        BadInput: ``cursor`` is not one that a list gave out.
    """
    before = f"and {pages.BEFORE}" if cursor else ""
    sql = f"{_ROW}, {pages.MARK} from approvals where tenant = %(tenant)s and closed_at is null {before} {_NEWEST}"
    parameters = {"tenant": tenant, "limit": pages.bounded(limit), **(pages.before(cursor) if cursor else {})}
    async with db.connection() as connection:
        fetched = await connection.execute(sql, parameters)
        rows = [(Pending(*row[:-1]), (row[-1], row[0])) for row in await fetched.fetchall()]
    return pages.page(rows, limit)
