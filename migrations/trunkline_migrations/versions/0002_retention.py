"""Retention: how far each journal was removed, whom a payload was for, and ways to find what is old."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UPGRADE = """
alter table snapshots add column floor bigint not null default 0;  -- the journal up to this version was removed
alter table payloads add column run uuid;                          -- whose step it belongs to
create index runs_ended on runs (ended_at, id) where ended_at is not null;
create index approvals_closed on approvals (closed_at) where closed_at is not null;
create index dead_letters_settled on dead_letters (settled_at) where settled_at is not null;
create index payloads_made on payloads (created_at);
"""

DOWNGRADE = """
drop index payloads_made, dead_letters_settled, approvals_closed, runs_ended;
alter table payloads drop column run;
alter table snapshots drop column floor;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(UPGRADE)


def downgrade() -> None:
    op.get_bind().exec_driver_sql(DOWNGRADE)
