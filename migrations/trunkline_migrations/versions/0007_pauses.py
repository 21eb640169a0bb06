"""Pauses: agents of which no new run begins."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

PAUSES = """
create table pauses (
    tenant    text        not null,
    agent     text        not null,
    reason    text        not null,
    paused_at timestamptz not null default now(),
    primary key (tenant, agent)
);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(PAUSES)


def downgrade() -> None:
    op.get_bind().exec_driver_sql("drop table pauses")
