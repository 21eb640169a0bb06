"""What Alembic runs: the revisions, on the one connection and in the one transaction that the caller holds open."""

from __future__ import annotations

from alembic import context

attributes = context.config.attributes
context.configure(
    connection=attributes["connection"],
    target_metadata=attributes.get("metadata"),
    version_table_schema=attributes["schema"],
    on_version_apply=attributes.get("on_version_apply"),
)
context.run_migrations()
