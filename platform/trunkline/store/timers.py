"""Due timers become mail. They are set and removed by ``append``, and brought nearer by tests that skip time."""

from __future__ import annotations

from trunkline.store.database import Database

# The time is that of the statement. By clock_timestamp(), which moves on meanwhile, no index can find what is due, and
# every look would read all timers.
# Whoever deletes the row posts the letter, in one statement: a timer fires once, however many look for it. The due time
# in the message id lets a timer that is set again under the same step fire again.
_FIRE = """
with due as (
    select instance, run, step from timers
    where due_at <= statement_timestamp() order by due_at limit %(limit)s
    for update skip locked
),
gone as (
    delete from timers t using due d
    where t.instance = d.instance and t.run = d.run and t.step = d.step
    returning t.instance, t.run, t.step, t.tenant, t.agent, t.due_at
),
posted as (
    insert into mailbox (tenant, instance, agent, key, message_id, kind, run, body)
    select g.tenant, g.instance, i.agent, i.key,
           'timer:' || g.run || ':' || g.step || ':' || extract(epoch from g.due_at), 'timer', g.run,
           json_build_object('step', g.step, 'due', extract(epoch from g.due_at))
    from gone g join instances i on i.id = g.instance order by g.due_at
    on conflict do nothing
)
select distinct tenant, agent, instance::text from gone
"""


async def fire_due(db: Database, limit: int = 1000) -> list[tuple[str, str, str]]:
    """Post a timer letter (``{"step": …, "due": …}``) for up to ``limit`` timers that are due.

    Returns:
        (tenant, agent, instance) of those to be woken.
    """
    async with db.connection() as connection:
        cursor = await connection.execute(_FIRE, {"limit": limit})
        return await cursor.fetchall()


async def next_due(db: Database) -> float | None:
    """Seconds until the first timer is due (0 when one is); ``None`` without any."""
    async with db.connection() as connection:
        cursor = await connection.execute(
            "select greatest(extract(epoch from min(due_at) - clock_timestamp()), 0)::float8 from timers"
            " having min(due_at) is not null"
        )
        row = await cursor.fetchone()
    return row[0] if row else None


async def bring_nearer(db: Database, seconds: float) -> None:
    """Every timer is due ``seconds`` earlier. For tests, which have an exchange of their own."""
    async with db.connection() as connection:
        await connection.execute("update timers set due_at = due_at - %s * interval '1 second'", [seconds])
