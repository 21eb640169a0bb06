"""Idle instances in bulk: copies of one whose run was really carried out, under addresses of their own.

Each has the rows that the product leaves behind: the instance, its journal, the run, the letter that began it.
"""

from __future__ import annotations

from benchmarks.suspension.exchange import TENANT, Exchange

from trunkline.domain.ids import instance_id, new_id

AGENT = "clerk"
TEMPLATE = "template"
AT_ONCE = 50_000

_MADE = "create temp table made (instance uuid, run uuid, key text, n bigint) on commit drop"
_LEFT = (
    """
insert into instances (id, tenant, agent, key, head, epoch, progress_at, created_at)
select m.instance, i.tenant, i.agent, m.key, i.head, i.epoch, i.progress_at, i.created_at
from made m, instances i where i.id = %(template)s
""",
    """
insert into runs (id, tenant, instance, agent, key, status, handler, definition, code, input, output, error, usage,
                  cost_usd, first_version, last_version, created_at, started_at, ended_at)
select m.run, r.tenant, m.instance, r.agent, m.key, r.status, r.handler, r.definition, r.code, r.input, r.output,
       r.error, r.usage, r.cost_usd, r.first_version, r.last_version, r.created_at, r.started_at, r.ended_at
from made m, runs r where r.instance = %(template)s
""",
    """
insert into mailbox (tenant, instance, agent, key, message_id, kind, run, body, digest, created_at, taken_at)
select b.tenant, m.instance, b.agent, m.key, 'req:' || m.run, b.kind, m.run, b.body, b.digest, b.created_at, b.taken_at
from made m, mailbox b where b.instance = %(template)s
""",
    """
insert into journal (instance, version, run, type, body, codec, schema_version, epoch, writer, recorded_at)
select m.instance, j.version, m.run, j.type, j.body, j.codec, j.schema_version, j.epoch, j.writer, j.recorded_at
from made m, journal j where j.instance = %(template)s
""",
)


async def fill(ours: Exchange, first: int, last: int) -> None:
    """Leave behind the idle instances ``first`` to ``last`` (exclusive), and what autovacuum would do to the tables.

    The template must have ended, and nobody may hold it.
    """
    for start in range(first, last, AT_ONCE):
        async with ours.db.connection() as connection, connection.transaction():
            await connection.execute(_MADE)
            async with connection.cursor().copy("copy made from stdin") as copy:
                for number in range(start, min(start + AT_ONCE, last)):
                    await copy.write_row((instance_id(TENANT, AGENT, key(number)), new_id(), key(number), number))
            for rows in _LEFT:
                await connection.execute(rows.encode(), {"template": instance_id(TENANT, AGENT, TEMPLATE)})
    async with ours.db.connection() as connection:
        await connection.execute("vacuum analyze")


def key(number: int) -> str:
    return f"idle-{number}"
