"""Bonds: who is told when a run ends, and how; and a way to the children of a run."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

BONDS = """
create table bonds (
    tenant     text        not null,
    run        uuid        not null,                    -- the one that is watched
    kind       text        not null,
    watcher    uuid        not null,                    -- the run that is told
    step       text        not null,                    -- the step that it answers; empty where it cancels
    instance   uuid        not null,                    -- the watcher's, with agent and key
    agent      text        not null,
    key        text        not null,
    created_at timestamptz not null default now(),
    primary key (tenant, run, kind, watcher, step),
    constraint bonds_kind_check check (kind in ('monitor', 'link', 'stop'))
);
create index bonds_of_run on bonds (run);
create index bonds_of_watcher on bonds (watcher);
create index runs_of_parent on runs (parent_run, created_at, id) where parent_run is not null;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(BONDS)


def downgrade() -> None:
    op.get_bind().exec_driver_sql("drop index runs_of_parent; drop table bonds;")
