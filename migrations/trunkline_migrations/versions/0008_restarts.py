"""Runs count how often their handlers were begun again."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.get_bind().exec_driver_sql("alter table runs add column restarts integer not null default 0")


def downgrade() -> None:
    op.get_bind().exec_driver_sql("alter table runs drop column restarts")
