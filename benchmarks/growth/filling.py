"""Long journals in bulk: what one instance left behind, over and over, under the addresses of others.

The template's runs were really carried out. Each copy is their entries again, at the versions that follow, as runs of
their own with their rows and letters; ``trunkline check`` finds nothing wrong with it.
"""

from __future__ import annotations

from benchmarks.growth.exchange import Exchange
from benchmarks.suspension.exchange import TENANT

from trunkline.domain.ids import instance_id, new_id

_MADE = "create temp table made (instance uuid, key text, run uuid, place bigint) on commit drop"
_LEFT = (
    """
insert into instances (id, tenant, agent, key, head, epoch, progress_at, created_at)
select m.instance, i.tenant, i.agent, m.key, i.head * count(*), i.epoch, i.progress_at, i.created_at
from made m, instances i where i.id = %(template)s group by 1, 2, 3, 4, i.id
""",
    """
insert into runs (id, tenant, instance, agent, key, status, handler, definition, code, input, output, error, usage,
                  cost_usd, first_version, last_version, created_at, started_at, ended_at)
select m.run, r.tenant, m.instance, r.agent, m.key, r.status, r.handler, r.definition, r.code, r.input, r.output,
       r.error, r.usage, r.cost_usd, r.first_version + m.place * i.head, r.last_version + m.place * i.head,
       r.created_at, r.started_at, r.ended_at
from made m, runs r join instances i on i.id = r.instance where r.instance = %(template)s
""",
    """
insert into mailbox (tenant, instance, agent, key, message_id, kind, run, body, digest, created_at, taken_at)
select b.tenant, m.instance, b.agent, m.key, 'req:' || m.run, b.kind, m.run, b.body, b.digest, b.created_at, b.taken_at
from made m, mailbox b where b.instance = %(template)s
""",
    """
insert into journal (instance, version, run, type, body, codec, schema_version, epoch, writer, recorded_at)
select m.instance, j.version + m.place * i.head, m.run, j.type, j.body, j.codec, j.schema_version, j.epoch, j.writer,
       j.recorded_at
from made m, journal j join instances i on i.id = j.instance where j.instance = %(template)s
""",
)


async def fill(ours: Exchange, agent: str, template: str, keys: list[str], runs: int) -> None:
    """Give each of ``keys`` a journal of ``runs`` times what the one run of ``template`` left; nobody may hold that."""
    async with ours.db.connection() as connection, connection.transaction():
        await connection.execute(_MADE)
        async with connection.cursor().copy("copy made from stdin") as copy:
            for key in keys:
                instance = instance_id(TENANT, agent, key)
                for place in range(runs):
                    await copy.write_row((instance, key, new_id(), place))
        for rows in _LEFT:
            await connection.execute(rows.encode(), {"template": instance_id(TENANT, agent, template)})
    async with ours.db.connection() as connection:
        await connection.execute("vacuum analyze")
