"""Runs that failed or were cancelled, newest first: few among many, and what people ask for."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

UPGRADE = """
create index runs_failed on runs (tenant, status, created_at, id) where status in ('failed', 'cancelled');
"""

DOWNGRADE = "drop index runs_failed"


def upgrade() -> None:
    op.get_bind().exec_driver_sql(UPGRADE)


def downgrade() -> None:
    op.get_bind().exec_driver_sql(DOWNGRADE)
