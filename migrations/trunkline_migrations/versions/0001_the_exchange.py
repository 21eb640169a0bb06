"""The exchange: instances and their mailboxes, journals, runs and timers; who works on them; what is declared."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
create table instances (
    id          uuid        not null,
    tenant      text        not null,
    agent       text        not null,
    key         text        not null,
    head        bigint      not null default 0,         -- version of the newest journal entry
    owner       text,                                   -- the worker that holds the lease
    epoch       bigint      not null default 0,         -- the fencing token: grows with every change of owner
    progress_at timestamptz not null default now(),
    takeovers   integer     not null default 0,         -- reclaims since the last progress
    created_at  timestamptz not null default now(),
    primary key (id),
    unique (tenant, agent, key)
) with (fillfactor = 70);
create index instances_owned on instances (owner) where owner is not null;

create table mailbox (
    seq        bigint      not null generated always as identity,
    tenant     text        not null,
    instance   uuid        not null,
    agent      text        not null,                    -- the instance's address, because its row is made
    key        text        not null,                    -- only when a worker takes it up
    message_id text        not null,
    kind       text        not null,
    run        uuid,
    body       json        not null,
    digest     text        not null default '',
    created_at timestamptz not null default now(),
    taken_at   timestamptz,
    primary key (seq),
    unique (tenant, instance, message_id),
    constraint mailbox_kind_check check (kind in ('request', 'event', 'signal', 'reply', 'timer', 'cancel', 'resolve'))
);
create index mailbox_untaken on mailbox (instance, seq) where taken_at is null;

create table journal (
    instance       uuid        not null,
    version        bigint      not null,
    run            uuid        not null,
    type           text        not null,
    body           json        not null,
    codec          text        not null default 'json',
    schema_version smallint    not null default 1,
    epoch          bigint      not null,
    writer         integer     not null,                -- a digest of the worker's id: one writer an epoch
    recorded_at    timestamptz not null default now(),
    primary key (instance, version)
) partition by hash (instance);

create table snapshots (
    instance   uuid        not null,
    version    bigint      not null,
    body       json        not null,
    created_at timestamptz not null default now(),
    primary key (instance)
);

create table runs (
    id            uuid        not null,
    tenant        text        not null,
    instance      uuid        not null,
    agent         text        not null,
    key           text        not null,
    status        text        not null default 'accepted',
    handler       text        not null default '',
    definition    integer     not null default 0,
    code          text        not null default '',
    input         json,
    output        json,
    error         json,
    usage         json,
    cost_usd      numeric     not null default 0,
    parked_reason text        not null default '',
    parked_detail text        not null default '',
    next_actions  json,
    parent_run    uuid,
    first_version bigint,                               -- its entries lie within these versions of the journal
    last_version  bigint,
    created_at    timestamptz not null default now(),
    started_at    timestamptz,
    ended_at      timestamptz,
    primary key (id),
    constraint runs_status_check
        check (status in ('accepted', 'running', 'waiting', 'parked', 'completed', 'failed', 'cancelled'))
);
create index runs_listed on runs (tenant, created_at, id);
create index runs_listed_by_agent on runs (tenant, agent, created_at, id);
create index runs_of_instance on runs (instance, created_at, id);
create index runs_open on runs (instance, status) where status in ('accepted', 'running', 'waiting', 'parked');

create table timers (
    instance uuid        not null,
    run      uuid        not null,
    step     text        not null,
    tenant   text        not null,
    agent    text        not null,
    due_at   timestamptz not null,
    primary key (instance, run, step)
);
create index timers_due on timers (due_at);

create table approvals (
    id         uuid        not null,
    tenant     text        not null,
    instance   uuid        not null,
    agent      text        not null,
    key        text        not null,
    run        uuid        not null,
    step       text        not null,
    name       text        not null,
    subject    json,
    digest     text        not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    closed_at  timestamptz,                             -- its step has ended: decided, expired or called off
    primary key (id)
);
create index approvals_listed on approvals (tenant, created_at, id) where closed_at is null;

create table subscriptions (
    tenant     text not null,
    event_type text not null,
    agent      text not null,
    handler    text not null,
    app        text not null,
    key_path   text not null default '',
    primary key (tenant, event_type, agent, handler)
);

create table definitions (
    tenant     text        not null,
    kind       text        not null,
    name       text        not null,
    version    integer     not null,
    digest     text        not null,
    app        text        not null,
    body       json        not null,
    created_at timestamptz not null default now(),
    primary key (tenant, kind, name, version),
    constraint definitions_kind_check check (kind in ('agent', 'tool'))
);

create table dead_letters (
    id         uuid        not null,
    tenant     text        not null,
    source     text        not null,
    reason     text        not null,
    detail     text        not null default '',
    subject    text        not null default '',
    body       json,
    attempts   integer     not null default 0,
    created_at timestamptz not null default now(),
    settled_at timestamptz,
    settled_as text        not null default '',
    primary key (id)
);
create index dead_letters_listed on dead_letters (tenant, created_at, id) where settled_at is null;

create table payloads (
    tenant     text        not null,
    id         text        not null,
    body       text        not null,
    created_at timestamptz not null default now(),
    primary key (tenant, id)
);

create table workers (
    id         text        not null,
    tenant     text        not null,
    kind       text        not null,
    app        text        not null,
    host       text        not null,
    pid        integer     not null,
    started_at timestamptz not null default now(),
    beat_at    timestamptz not null default now(),
    progress   bigint      not null default 0,
    held       integer     not null default 0,
    draining   boolean     not null default false,
    dead_at    timestamptz,
    left_at    timestamptz,
    primary key (id)
) with (fillfactor = 70);
create index workers_beating on workers (beat_at) where dead_at is null and left_at is null;

create table leaders (
    name     text        not null,
    owner    text        not null,
    epoch    bigint      not null,
    until_at timestamptz not null,
    primary key (name)
);
"""

# Retention is the one exception to "append only": a transaction that says so (set local trunkline.retention = 'on') may
# delete entries that a snapshot covers. Where the cluster has a role trunkline_retention, only its members may; making
# that role needs rights that Trunkline does not ask for, so it is the database administrator's choice.
APPEND_ONLY = """
create function journal_is_append_only() returns trigger language plpgsql set search_path from current as $$
declare
    retention oid := to_regrole('trunkline_retention');
begin
    if tg_op = 'DELETE'
        and current_setting('trunkline.retention', true) = 'on'
        and (retention is null or pg_has_role(retention, 'member'))
        and exists (select from snapshots s where s.instance = old.instance and s.version >= old.version)
    then
        return old;
    end if;
    raise exception using
        errcode = 'restrict_violation',
        message = 'the journal is append-only: ' || tg_op || ' refused',
        hint = 'Entries that a snapshot covers may be deleted under: set local trunkline.retention = ''on''.';
end $$;

create trigger journal_refuses_changes before update or delete on journal
    for each row execute function journal_is_append_only();
create trigger journal_refuses_truncate before truncate on journal
    for each statement execute function journal_is_append_only();
"""

PARTITION = """
create table journal_{n} partition of journal for values with (modulus 8, remainder {n});
create trigger journal_refuses_truncate before truncate on journal_{n}
    for each statement execute function journal_is_append_only();
"""


def upgrade() -> None:
    partitions = "".join(PARTITION.format(n=n) for n in range(8))
    op.get_bind().exec_driver_sql(TABLES + APPEND_ONLY + partitions)


def downgrade() -> None:
    op.get_bind().exec_driver_sql(
        "drop table leaders, workers, payloads, dead_letters, definitions, subscriptions, approvals, timers, runs,"
        " snapshots, journal, mailbox, instances;"
        "drop function journal_is_append_only()"
    )
