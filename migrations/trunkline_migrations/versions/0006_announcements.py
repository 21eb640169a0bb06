"""Workers announce which code they have."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.get_bind().exec_driver_sql("alter table workers add column announces json")


def downgrade() -> None:
    op.get_bind().exec_driver_sql("alter table workers drop column announces")
