"""Statements that are planned once: through indexes only, and on a connection that comes back by itself."""

from __future__ import annotations

import making
import psycopg
import pytest
from making import envelope, owned

from trunkline.domain.ids import new_id
from trunkline.store import leases, mailbox
from trunkline.store.accept import accept
from trunkline.store.arrays import BigInts, Ids
from trunkline.store.database import Database
from trunkline.store.statement import SESSION, Statement

HOT = {
    "take": (leases._TAKE, {"worker": "text", "instances": "uuid[]"}),
    "pending": (mailbox._PENDING, {"instances": "uuid[]", "known": "bigint[]", "page": "bigint"}),
}


async def planned(db: Database, name: str) -> list[str]:
    """The plan that is made of a hot statement, once and for all."""
    statement, kinds = HOT[name]
    connection = await db.connect(SESSION)
    try:
        types = ", ".join(kinds[parameter] for parameter in statement.names)
        await connection.execute(f"prepare hot({types}) as ".encode() + statement.text)
        explained = await connection.execute(f"explain execute hot({', '.join(['null'] * len(kinds))})")
        return [line for [line] in await explained.fetchall()]
    finally:
        await connection.close()


@pytest.mark.parametrize("name", HOT)
async def test_every_table_is_reached_through_an_index(db: Database, name: str) -> None:
    """The plan is made once, when the tables may be empty, and must be good when they are not."""
    plan = await planned(db, name)
    assert not any("Seq Scan" in line for line in plan), plan
    # Of workers there are few, and they have an index of those that live.
    scans = [place for place, line in enumerate(plan) if "Index" in line and "Scan" in line and "workers" not in line]
    assert scans
    assert all("Index Cond" in plan[place + 1] for place in scans), "\n".join(plan)


async def test_what_a_reader_has_already_is_not_gone_through_for_each_letter(db: Database) -> None:
    """Else the time that it takes grows with the square of what waits."""
    asked = {"instances": Ids([new_id()] * 200), "known": BigInts(range(20_000))}
    async with db.connection() as connection:
        explained = await connection.execute("explain " + mailbox._WAITING, asked)
        waiting = [line for [line] in await explained.fetchall()]
    for plan in (await planned(db, "pending"), waiting):
        assert any("hashed SubPlan" in line for line in plan)


async def test_a_connection_that_was_cut_is_made_anew(db: Database) -> None:
    _, [(lease, _)] = await owned(db)
    await accept(db, [envelope(key=lease.key)])
    whoever = Statement("select pg_backend_pid()")
    [[first]] = await db.lookups.rows(whoever, {})
    await making.value(db, "select pg_terminate_backend(%s, 5000)", first)
    found = await mailbox.pending(db, [lease.instance])
    assert len(found[lease.instance]) >= 1
    assert await db.lookups.rows(whoever, {}) != [(first,)]


async def test_what_is_wrong_with_a_statement_is_not_taken_for_an_outage(db: Database) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        await db.lookups.rows(Statement("select from nowhere"), {})
    assert await db.lookups.rows(Statement("select 1"), {}) == [(1,)]
