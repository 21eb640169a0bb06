"""Schedules: when agents are started by the clock."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCHEDULES = """
create table schedules (
    tenant     text        not null,
    agent      text        not null,
    name       text        not null,
    app        text        not null,
    spec       json        not null,
    digest     text        not null,
    due_at     timestamptz,
    fired_at   timestamptz,
    missed_at  timestamptz,
    trouble    text        not null default '',
    created_at timestamptz not null default now(),
    primary key (tenant, agent, name)
);
create index schedules_due on schedules (due_at);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEDULES)


def downgrade() -> None:
    op.get_bind().exec_driver_sql("drop table schedules")
