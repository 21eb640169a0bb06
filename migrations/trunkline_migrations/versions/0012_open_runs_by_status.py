"""Open runs by their status first: who looks for the few that run does not pass by all that sleep."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

OPEN = "status in ('accepted', 'running', 'waiting', 'parked')"

UPGRADE = f"""
create index runs_open_by_status on runs (status, instance) where {OPEN};
drop index runs_open;
"""

DOWNGRADE = f"""
create index runs_open on runs (instance, status) where {OPEN};
drop index runs_open_by_status;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(UPGRADE)


def downgrade() -> None:
    op.get_bind().exec_driver_sql(DOWNGRADE)
