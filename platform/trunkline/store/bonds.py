"""Bonds: who is told when a run ends. They come with the watcher's own append, and go with the end of either run.

A monitor's step is answered, however the run ended; a link cancels its watcher unless the run completed; a run that
stops with its parent is cancelled at any end. The commit that ends a run writes these letters (``LETTERS`` in
``sql.append_statement``). It cannot see a bond that is committed at the same time, so whoever wrote one looks once
more (``settle``), and the supervisor looks for what both missed (``settle_lost``). Letters have derived ids: that both
write one does no harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trunkline.domain.ids import FIRST_ID
from trunkline.store.arrays import Ids
from trunkline.store.database import Connection, Database

Address = tuple[str, str, str]  # tenant, agent, instance
Place = tuple[str, str, str, str, str]  # a bond's primary key

FIRST: Place = ("", FIRST_ID, "", FIRST_ID, "")
MOST_REASON = 500  # characters of an error's message in the reason of a cancellation

# Of a relation ``parted``: the columns of the bonds that were taken away, and of the runs that they watched.
LETTERS = f"""
    insert into mailbox (tenant, instance, agent, key, message_id, kind, run, body)
    select tenant, instance, agent, key,
           case kind when 'monitor' then 'reply:' || step || ':1:' || watcher
                     else 'cancel:' || kind || ':' || run || ':' || watcher end,
           case kind when 'monitor' then 'reply' else 'cancel' end, watcher,
           case kind
               when 'monitor' then json_build_object(
                   'tenant', tenant, 'instance', instance, 'agent', agent, 'run', watcher, 'step', step, 'attempt', 1,
                   'value', case when status is not null then json_build_object(
                       'agent', of_agent, 'key', of_key, 'run', run, 'status', status, 'output', output, 'error', error)
                   end,
                   'error', case when status is null then json_build_object(
                       'type', 'UnknownRun', 'message', 'there is no run ' || run, 'retryable', false) end)
               when 'link' then json_build_object('reason',
                   'the linked run ' || run || ' of ' || of_agent || ' is ' || status
                   || coalesce(': ' || (error->>'type') || ': ' || left(error->>'message', {MOST_REASON}), ''))
               else json_build_object('reason', 'its parent has ended')
           end
    from parted where kind = 'monitor' or (kind = 'link' and status <> 'completed') or (kind = 'stop')
    order by instance, watcher, run, kind, step
    on conflict do nothing
    returning tenant, agent, instance
"""  # noqa: S608 — a constant of ours

# Of the runs of ``changed`` that are begun again: children stop, links to children and the run's own monitors go.
LET_GO = """
dropped as (
    delete from bonds b using changed c
    where b.run = any(%(y_run)s) and b.run = c.id and b.tenant = c.tenant and c.restarted and c.ended is not true
      and (b.kind = 'stop'
           or (b.kind = 'link' and (select r.parent_run from runs r where r.id = b.watcher) = b.run))
    returning b.tenant, b.instance, b.agent, b.key, b.kind, b.run, b.watcher
),
unlinked as (
    delete from bonds b using changed c
    where b.watcher = any(%(y_run)s) and b.watcher = c.id and b.tenant = c.tenant and c.restarted
      and c.ended is not true
      and (b.kind = 'monitor'
           or (b.kind = 'link' and (select r.parent_run from runs r where r.id = b.run) = b.watcher))
),
stopped as (
    insert into mailbox (tenant, instance, agent, key, message_id, kind, run, body)
    select tenant, instance, agent, key, 'cancel:stop:' || run || ':' || watcher, 'cancel', watcher,
           json_build_object('reason', 'its parent was begun again')
    from dropped where kind = 'stop' order by instance, watcher
    on conflict do nothing
    returning tenant, agent, instance
)"""

# A bond of a run that is unknown is settled, too. What somebody else holds, that one sees to.
_SETTLE = f"""
with due as (
    select b.tenant, b.run, b.kind, b.watcher, b.step, r.agent, r.key, r.status, r.output, r.error
    from bonds b left join runs r on r.id = b.run and r.tenant = b.tenant
    where b.run = any(%(runs)s) and (r.id is null or r.ended_at is not null)
    order by b.tenant, b.run, b.kind, b.watcher, b.step for update of b skip locked
),
parted as (
    delete from bonds b using due d
    where (b.tenant, b.run, b.kind, b.watcher, b.step) = (d.tenant, d.run, d.kind, d.watcher, d.step)
    returning b.tenant, b.run, b.kind, b.watcher, b.step, b.instance, b.agent, b.key,
              d.agent as of_agent, d.key as of_key, d.status, d.output, d.error
),
told as ({LETTERS})
select distinct tenant, agent, instance::text from told
"""  # noqa: S608 — a constant of ours

_UNWATCHED = "delete from bonds where watcher = any(%s)"

_PAGE = """
select tenant, run::text, kind, watcher::text, step from bonds b
where (tenant, run, kind, watcher, step) > (%s, %s::uuid, %s, %s::uuid, %s)
  and created_at < clock_timestamp() - %s * interval '1 second'
order by b.tenant, b.run, b.kind, b.watcher, b.step limit %s  -- as the index has them, and not as they are selected
"""

_ENDED = """
select id::text from unnest(%(runs)s) as w(id) left join runs r using (id) where r.id is null or r.ended_at is not null
"""


async def settle(db: Database, runs: Sequence[str]) -> list[Address]:
    """Tell the watchers of those of ``runs`` that have ended, or that are not known. Wake whom it names."""
    async with db.connection() as connection:
        return await _settle(connection, runs)


async def part(connection: Connection, runs: Sequence[str]) -> list[Address]:
    """As ``settle``, in the transaction that ends ``runs``; and nobody need tell these any more."""
    told = await _settle(connection, runs)
    await connection.execute(_UNWATCHED, [Ids(runs)])
    return told


async def settle_lost(db: Database, older_than: float, limit: int, after: Place) -> tuple[list[Address], Place]:
    """Look at the next ``limit`` bonds behind the place ``after`` that are ``older_than`` seconds old, and settle those
    of which a run has ended.

    Returns:
        whom to wake, and the place to go on from: ``FIRST`` when there are no more.
    """
    async with db.connection() as connection:
        page: list[Place] = await (await connection.execute(_PAGE, [*after, older_than, limit])).fetchall()
        if not page:
            return [], FIRST
        watchers = sorted({row[3] for row in page})
        gone = await (await connection.execute(_ENDED, {"runs": Ids(watchers)})).fetchall()
        if gone:
            await connection.execute(_UNWATCHED, [Ids(row[0] for row in gone)])
        told = await _settle(connection, sorted({row[1] for row in page}))
    return told, page[-1] if len(page) == limit else FIRST


async def _settle(connection: Connection, runs: Sequence[str]) -> list[Address]:
    if not runs:
        return []
    found: list[Any] = await (await connection.execute(_SETTLE, {"runs": Ids(runs)})).fetchall()
    return found
