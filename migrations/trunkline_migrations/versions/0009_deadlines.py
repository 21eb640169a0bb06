"""A run's row shows its deadline, and whoever asked finds the runs that it still waits for."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

UP = """
alter table runs add column deadline timestamptz;
create index runs_asked on runs (parent_run) where parent_run is not null and ended_at is null;
"""
DOWN = """
drop index runs_asked;
alter table runs drop column deadline;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(UP)


def downgrade() -> None:
    op.get_bind().exec_driver_sql(DOWN)
