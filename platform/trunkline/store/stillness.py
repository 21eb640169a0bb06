"""What still moves in an exchange: mail that is to be taken now, steps that somebody carries out, timers that are due.

Whatever will happen by itself, without a further signal, decision or passing of time, has a row that says so: an
outcome, a timer, a reply and the event that an agent emits each commit together with what they end. So an exchange in
which nothing of this is found is at rest.
"""

from __future__ import annotations

from trunkline.store.database import Database

_UNWANTED = """
not exists (
    select from journal s
    where s.instance = m.instance and s.run = m.run and s.type = 'StepScheduled'
      and s.body->>'kind' = 'wait' and s.body->>'name' = m.body->>'name' and not exists (
        select from journal e
        where e.instance = s.instance and e.run = s.run and e.version > s.version
          and (e.type in ('RunContinued', 'RunRestarted')
               or e.type in ('StepCompleted', 'StepFailed', 'StepCancelled') and e.body->>'key' = s.body->>'key')))
and (select count(*) >= 64 or coalesce(sum(length(g.body::text)), 0) >= 1048576 from journal g
     where g.instance = m.instance and g.run = m.run and g.type in ('SignalReceived', 'RunContinued', 'RunRestarted'))
"""

# Mail rests behind a run that has the instance, for a run that is parked, or until a run begins that it is for. Signals
# rest as well while their run waits for others, and got so many that it may have no room for more.
_MAIL = f"""
select m.agent, m.key, 'a ' || m.kind || ' has not been taken up'
from mailbox m left join runs r on r.id = m.run
where m.taken_at is null and m.tenant = %(tenant)s and coalesce(r.status, '') <> 'parked' and not case
    when m.kind in ('request', 'event') and exists (
        select from pauses p where p.tenant = m.tenant and p.agent = m.agent) then true
    when m.kind in ('request', 'event') then m.body->>'handler' = '' and exists (
        select from runs o where o.instance = m.instance and o.id <> m.run and o.handler = ''
                             and o.status in ('running', 'waiting', 'parked'))
    when m.kind = 'signal' and r.status = 'waiting' then {_UNWANTED}
    when m.kind = 'signal' and m.run is not null then r.status = 'accepted'
    when m.kind = 'signal' then not exists (
        select from runs o where o.instance = m.instance and o.handler = '' and o.status in ('running', 'waiting'))
    else false
end
order by m.seq limit %(limit)s
"""  # noqa: S608 — of constants

_STEPS = """
select r.agent, r.key, 'step ' || (s.body->>'key') || ' is being carried out'
from runs r join journal s on s.instance = r.instance and s.run = r.id and s.type = 'StepScheduled'
where %(steps)s and r.status = 'running' and r.tenant = %(tenant)s
  and s.body->>'kind' in ('local', 'tool', 'llm', 'emit')
  and not exists (
      select from journal e
      where e.instance = s.instance and e.run = s.run and e.version > s.version
        and e.type in ('StepCompleted', 'StepFailed', 'StepCancelled') and e.body->>'key' = s.body->>'key')
order by s.version limit %(limit)s
"""

_TIMERS = """
select agent, run::text, 'the timer of step ' || step || ' is due'
from timers where tenant = %(tenant)s and due_at <= clock_timestamp() order by due_at limit %(limit)s
"""

# The next life of a handler begins behind the commit that ended the last one, with the signals that came in between.
# Whatever it does then has an entry.
_ANEW = """
select r.agent, r.key, 'its handler has not begun anew' from runs r
where r.status in ('running', 'waiting') and r.tenant = %(tenant)s and (
    select e.type from journal e
    where e.instance = r.instance and e.run = r.id and e.type <> 'SignalReceived' order by e.version desc limit 1
) = 'RunContinued' limit %(limit)s
"""

_BONDS = """
select b.agent, b.key, 'it was not told of the end of run ' || b.run
from bonds b join runs r on r.id = b.run where b.tenant = %(tenant)s and r.ended_at is not null limit %(limit)s
"""

# One statement, so that what moves on meanwhile is seen before or after it did, and not missed in between.
_MOVING = " union all ".join(f"({one})" for one in (_MAIL, _STEPS, _ANEW, _TIMERS, _BONDS))


async def moving(db: Database, tenant: str, *, steps: bool = True, limit: int = 5) -> list[str]:
    """Up to ``limit`` things of each kind that go on by themselves, a line each; empty when all is at rest. Without
    ``steps``, those that somebody carries out do not count.
    """
    async with db.connection() as connection:
        cursor = await connection.execute(_MOVING, {"tenant": tenant, "steps": steps, "limit": limit})
        return [f"{agent}/{key}: {what}" for agent, key, what in await cursor.fetchall()]
