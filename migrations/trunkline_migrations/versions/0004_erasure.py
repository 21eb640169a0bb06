"""Erasure: tombstones, and the second exception to "append only": the journal of an erased instance may be deleted."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = """
create table tombstones (
    tenant    text        not null,
    instance  uuid        not null,                     -- derived from its address, which is not kept
    epoch     bigint      not null,                     -- whoever holds the address next begins above these
    version   bigint      not null,
    erased_at timestamptz not null default now(),
    purged_at timestamptz,                              -- when the last of its journal was deleted
    primary key (instance, epoch)
);
create index payloads_of_run on payloads (run) where run is not null;
create index tombstones_unpurged on tombstones (erased_at) where purged_at is null;
"""

# Erasure asks for its exception by name, as retention does (set local trunkline.erasure = 'on'), for entries that a
# tombstone covers. Where the cluster has a role trunkline_erasure, only its members may.
FUNCTION = """
create or replace function journal_is_append_only() returns trigger language plpgsql set search_path from current as $$
declare
    retention oid := to_regrole('trunkline_retention');
    erasure oid := to_regrole('trunkline_erasure');
begin
    if tg_op = 'DELETE'
        and current_setting('trunkline.retention', true) = 'on'
        and (retention is null or pg_has_role(retention, 'member'))
        and exists (select from snapshots s where s.instance = old.instance and s.version >= old.version)
    then
        return old;
    end if;
    if tg_op = 'DELETE'
        and current_setting('trunkline.erasure', true) = 'on'
        and (erasure is null or pg_has_role(erasure, 'member'))
        and exists (select from tombstones t where t.instance = old.instance and t.version >= old.version)
    then
        return old;
    end if;
    raise exception using
        errcode = 'restrict_violation',
        message = 'the journal is append-only: ' || tg_op || ' refused',
        hint = 'Entries that a snapshot covers may be deleted under: set local trunkline.retention = ''on''.';
end $$;
"""

FUNCTION_BEFORE = """
create or replace function journal_is_append_only() returns trigger language plpgsql set search_path from current as $$
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
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(TABLES + FUNCTION)


def downgrade() -> None:
    op.get_bind().exec_driver_sql(FUNCTION_BEFORE + "drop table tombstones; drop index payloads_of_run;")
