"""Blocks: instances whose code blocked a worker are marked, and set aside for a while when it died of it."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.get_bind().exec_driver_sql(
        "alter table instances add column blocks_epoch bigint, add column shunned_until timestamptz"
    )


def downgrade() -> None:
    op.get_bind().exec_driver_sql("alter table instances drop column shunned_until, drop column blocks_epoch")
