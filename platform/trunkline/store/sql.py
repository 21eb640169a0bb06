"""The one statement of a group commit, assembled from the parts that a group has rows for.

``passed`` is the fence: it moves the head of every instance that is still held by this owner, at this epoch, at this
head, and everything else joins it, so that a refused append leaves no trace while its neighbours commit. Tables are
written in one fixed order, instances are locked in the order of their ids (the arrays come sorted, and the appender's
session plans index scans only).
"""

from __future__ import annotations

from enum import Flag
from functools import cache

from trunkline.domain.journal import SCHEMA_VERSION
from trunkline.store.bonds import LET_GO, LETTERS
from trunkline.store.post import COLUMNS, PARAMETERS
from trunkline.store.statement import Statement


class Part(Flag):
    """What a group may have rows for."""

    ENTRIES = 1
    TAKEN = 2
    MAIL = 4
    RUNS = 8
    TIMERS = 16
    TIMERS_DONE = 32
    DEAD = 64
    APPROVALS = 128
    APPROVALS_DONE = 256
    SNAPSHOTS = 512
    BONDS = 1024
    BONDS_DONE = 2048
    ENDS = 4096  # of runs; only together with RUNS
    ANEW = 8192  # restarts of runs; only together with RUNS


_FENCE = """
passed as (
    update instances i
    set head = i.head + f.n,
        progress_at = case when f.progress then now() else i.progress_at end,
        takeovers = case when f.progress then 0 else i.takeovers end
    from unnest(%(f_id)s, %(f_owner)s, %(f_writer)s, %(f_epoch)s, %(f_expected)s, %(f_n)s, %(f_progress)s)
        with ordinality as f(id, owner, writer, epoch, expected, n, progress, k)
    where i.id = any(%(f_id)s)
      and i.id = f.id and i.epoch = f.epoch and i.head = f.expected
      and i.owner is not distinct from f.owner  -- "=" would offer the planner the index of all that is owned
    returning f.k, i.id, i.tenant, i.agent, i.epoch, f.writer
)"""

_PARTS = {
    Part.ENTRIES: f"""
written as (
    insert into journal (instance, version, run, type, body, schema_version, epoch, writer)
    select p.id, e.version, e.run, e.type, e.body::json, {SCHEMA_VERSION}, p.epoch, p.writer
    from unnest(%(e_k)s, %(e_version)s, %(e_run)s, %(e_type)s, %(e_body)s) as e(k, version, run, type, body)
    join passed p using (k)
)""",  # noqa: S608 — a constant of ours
    Part.TAKEN: """
taken as (
    update mailbox m set taken_at = coalesce(m.taken_at, now())
    from unnest(%(t_k)s, %(t_seq)s) as t(k, seq) join passed p using (k)
    where m.seq = any(%(t_seq)s) and m.seq = t.seq and m.instance = p.id
)""",
    Part.MAIL: f"""
mail as (
    select m.* from unnest({PARAMETERS}, %(m_k)s) with ordinality as m({COLUMNS}, k, n) join passed p using (k)
),
posted as (
    insert into mailbox (tenant, instance, agent, key, message_id, kind, run, body, digest)
    select tenant, instance, agent, key, message_id, kind, run, body::json, digest from mail order by n
    on conflict do nothing
    returning instance, message_id
),
begun as (
    insert into runs (id, tenant, instance, agent, key, handler, input, deadline, parent_run)
    select run, tenant, instance, agent, key, handler, input::json, to_timestamp(deadline::float8), parent
    from mail join posted using (instance, message_id) where starts order by n
    on conflict do nothing
)""",  # noqa: S608 — constants of ours
    Part.RUNS: """
changed as (
    update runs r
    set status = c.status,
        output = coalesce(c.output::json, r.output),
        error = coalesce(c.error::json, r.error),
        usage = coalesce(c.usage::json, r.usage),
        cost_usd = coalesce(c.cost::numeric, r.cost_usd),
        parked_reason = c.parked_reason,
        parked_detail = c.parked_detail,
        next_actions = c.next_actions::json,
        definition = coalesce(c.definition::integer, r.definition),
        code = coalesce(c.code, r.code),
        deadline = coalesce(to_timestamp(c.deadline::float8), r.deadline),
        first_version = coalesce(r.first_version, c.first::bigint),
        last_version = coalesce(c.last::bigint, r.last_version),
        started_at = case when c.started then coalesce(r.started_at, now()) else r.started_at end,
        ended_at = case when c.ended then now() else r.ended_at end,
        restarts = r.restarts + case when c.restarted then 1 else 0 end
    from unnest(%(r_k)s, %(r_id)s, %(r_status)s, %(r_output)s, %(r_error)s, %(r_usage)s, %(r_cost)s,
                %(r_parked_reason)s, %(r_parked_detail)s, %(r_next_actions)s, %(r_definition)s, %(r_code)s,
                %(r_deadline)s, %(r_first)s, %(r_last)s, %(r_started)s, %(r_ended)s, %(r_restarted)s)
        as c(k, id, status, output, error, usage, cost, parked_reason, parked_detail, next_actions, definition, code,
             deadline, first, last, started, ended, restarted)
    join passed p using (k)
    where r.id = any(%(r_id)s) and r.id = c.id and r.instance = p.id
    returning r.id, r.tenant, r.agent, r.key, r.status, r.output, r.error, c.ended, c.restarted
)""",
    Part.TIMERS: """
timed as (
    insert into timers (instance, run, step, tenant, agent, due_at)
    select p.id, s.run, s.step, p.tenant, p.agent, now() + s.delay * interval '1 second'
    from unnest(%(s_k)s, %(s_run)s, %(s_step)s, %(s_delay)s) as s(k, run, step, delay) join passed p using (k)
    order by p.id, s.run, s.step
    on conflict (instance, run, step) do update set due_at = excluded.due_at
)""",
    Part.TIMERS_DONE: """
untimed as (
    delete from timers t
    using unnest(%(d_k)s, %(d_run)s, %(d_step)s) as d(k, run, step) join passed p using (k)
    where t.instance = any(%(d_instance)s) and t.instance = p.id and t.run = d.run and t.step = d.step
)""",
    Part.APPROVALS: """
asked as (
    insert into approvals (id, tenant, instance, agent, key, run, step, name, subject, digest, expires_at)
    select a.id, p.tenant, p.id, p.agent, a.key, a.run, a.step, a.name, a.subject::json, a.digest,
           now() + a.timeout::float8 * interval '1 second'
    from unnest(%(a_k)s, %(a_id)s, %(a_key)s, %(a_run)s, %(a_step)s, %(a_name)s, %(a_subject)s, %(a_digest)s,
                %(a_timeout)s)
        as a(k, id, key, run, step, name, subject, digest, timeout)
    join passed p using (k)
    order by a.id
    on conflict do nothing
)""",
    Part.APPROVALS_DONE: """
decided as (
    update approvals a set closed_at = now()
    from unnest(%(o_k)s, %(o_id)s) as o(k, id) join passed p using (k)
    where a.id = any(%(o_id)s) and a.id = o.id and a.instance = p.id
)""",
    Part.BONDS: """
bound as (
    insert into bonds (tenant, run, kind, watcher, step, instance, agent, key)
    select p.tenant, b.run, b.kind, b.watcher, b.step, b.instance, b.agent, b.key
    from unnest(%(b_k)s, %(b_run)s, %(b_kind)s, %(b_watcher)s, %(b_step)s, %(b_instance)s, %(b_agent)s, %(b_key)s)
        as b(k, run, kind, watcher, step, instance, agent, key)
    join passed p using (k)
    order by b.run, b.kind, b.watcher, b.step
    on conflict do nothing
)""",
    Part.BONDS_DONE: """
unbound as (
    delete from bonds b
    using unnest(%(u_k)s, %(u_watcher)s, %(u_step)s) as u(k, watcher, step) join passed p using (k)
    where b.watcher = any(%(u_watcher)s) and b.watcher = u.watcher and b.step = u.step and b.kind = 'monitor'
      and b.tenant = p.tenant
)""",
    # Who is bound to a run that ends is told, and who has ended is told no more.
    Part.ENDS: f"""
parted as (
    delete from bonds b using changed c
    where b.run = any(%(z_run)s) and b.run = c.id and b.tenant = c.tenant and c.ended
    returning b.tenant, b.run, b.kind, b.watcher, b.step, b.instance, b.agent, b.key,
              c.agent as of_agent, c.key as of_key, c.status, c.output, c.error
),
unwatched as (
    delete from bonds b using changed c
    where b.watcher = any(%(z_run)s) and b.watcher = c.id and b.tenant = c.tenant and c.ended
),
told as ({LETTERS})""",  # noqa: S608 — a constant of ours
    # What a run had started before it was begun again is let go; whoever else is bound to it stays so.
    Part.ANEW: LET_GO,
    Part.DEAD: """
buried as (
    insert into dead_letters (id, tenant, source, reason, detail, subject, body, attempts)
    select x.id, x.tenant, x.source, x.reason, x.detail, x.subject, x.body::json, x.attempts
    from unnest(%(x_k)s, %(x_id)s, %(x_tenant)s, %(x_source)s, %(x_reason)s, %(x_detail)s, %(x_subject)s, %(x_body)s,
                %(x_attempts)s)
        as x(k, id, tenant, source, reason, detail, subject, body, attempts)
    join passed p using (k)
    on conflict do nothing
)""",
    Part.SNAPSHOTS: """
remembered as (
    insert into snapshots (instance, version, body)
    select p.id, n.version, n.body::json
    from unnest(%(n_k)s, %(n_version)s, %(n_body)s) as n(k, version, body) join passed p using (k)
    order by p.id
    on conflict (instance) do update set version = excluded.version, body = excluded.body, created_at = now()
    where excluded.version > snapshots.version
)""",
}

# An append whose answer was lost was committed if its very entries stand in the journal, under its own epoch.
_STANDING = """
select e.k::int
from unnest(%(e_k)s, %(e_version)s, %(e_run)s, %(e_type)s, %(e_body)s) as e(k, version, run, type, body)
join unnest(%(f_id)s, %(f_epoch)s) with ordinality as f(id, epoch, k) using (k)
left join journal j
    on j.instance = any(%(f_id)s) and j.instance = f.id and j.version = e.version and j.epoch = f.epoch
   and j.run = e.run and j.type = e.type and j.body::text = e.body
group by e.k having bool_and(j.version is not null)
"""


@cache
def append_statement(parts: Part) -> Statement:
    """Writes the parts that ``parts`` names; answers with the numbers of the fences that passed, and (with 0 for a
    number) with tenant, agent and instance of those who were told of runs that ended.
    """
    ctes = [_FENCE, *(sql for part, sql in _PARTS.items() if part in parts)]
    answer = "\nselect k::int, null::text, null::text, null::text from passed"
    if Part.ENDS in parts:
        answer += "\nunion all select 0, tenant, agent, instance::text from told"
    if Part.ANEW in parts:
        answer += "\nunion all select 0, tenant, agent, instance::text from stopped"
    return Statement("with" + ",".join(ctes) + answer)


@cache
def standing_statement() -> Statement:
    """Answers with the numbers of the fences all of whose entries stand in the journal already."""
    return Statement(_STANDING)
