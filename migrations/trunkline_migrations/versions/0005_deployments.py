"""Which version of a definition is current becomes a fact of its own: deploying and rolling back move it."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLE = """
create table deployments (
    seq        bigint      not null generated always as identity,
    tenant     text        not null,
    kind       text        not null,
    name       text        not null,
    version    integer     not null,                    -- what became current
    previous   integer,                                 -- what it is rolled back to
    cause      text        not null,
    created_at timestamptz not null default now(),
    primary key (seq),
    constraint deployments_kind_check check (kind in ('agent', 'tool')),
    constraint deployments_cause_check check (cause in ('start', 'deploy', 'rollback'))
);
create index deployments_newest on deployments (tenant, kind, name, seq);

insert into deployments (tenant, kind, name, version, previous, cause)
select distinct on (tenant, kind, name) tenant, kind, name, version, nullif(version - 1, 0), 'start'
from definitions order by tenant, kind, name, version desc;
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(TABLE)


def downgrade() -> None:
    op.get_bind().exec_driver_sql("drop table deployments")
