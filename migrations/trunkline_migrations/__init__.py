"""The history of Trunkline's tables, for Alembic; ``trunkline.store.migrate`` runs it. Expand first, contract later."""
