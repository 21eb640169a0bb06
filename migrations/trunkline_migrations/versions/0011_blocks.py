"""Neighbours: instances whose code blocked a worker are marked and set aside; a full mailbox is found by its index."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


# Where one instance holds most of all mail, the planner would read the whole table for every other instance as well.
FULL = """
create function mailbox_full(wanted uuid, most bigint) returns boolean
language plpgsql stable
set search_path from current
set enable_seqscan = off
set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
begin
    return exists (select from mailbox b where b.instance = wanted and b.taken_at is null offset most - 1);
end $$;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(FULL)
    op.get_bind().exec_driver_sql(
        "alter table instances add column blocks_epoch bigint, add column shunned_until timestamptz"
    )


def downgrade() -> None:
    op.get_bind().exec_driver_sql("drop function mailbox_full")
    op.get_bind().exec_driver_sql("alter table instances drop column shunned_until, drop column blocks_epoch")
