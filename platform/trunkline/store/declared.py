"""The tables of what apps declare, and of which of it is current or paused; the others stand in ``schema``."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Identity, Index, Integer, PrimaryKeyConstraint, Table

from trunkline.store.columns import json_column as _json
from trunkline.store.columns import metadata
from trunkline.store.columns import number_column as _number
from trunkline.store.columns import text_column as _text
from trunkline.store.columns import time_column as _time

subscriptions = Table(
    "subscriptions",
    metadata,
    _text("tenant"),
    _text("event_type"),
    _text("agent"),
    _text("handler"),
    _text("app"),
    _text("key_path", ""),
    PrimaryKeyConstraint("tenant", "event_type", "agent", "handler"),
)

schedules = Table(
    "schedules",
    metadata,
    _text("tenant"),
    _text("agent"),
    _text("name"),
    _text("app"),
    _json("spec"),
    _text("digest"),
    _time("due_at", null=True),
    _time("fired_at", null=True),
    _time("missed_at", null=True),
    _text("trouble", ""),
    _time("created_at"),
    PrimaryKeyConstraint("tenant", "agent", "name"),
)
Index("schedules_due", schedules.c.due_at)

pauses = Table(
    "pauses",
    metadata,
    _text("tenant"),
    _text("agent"),
    _text("reason"),
    _time("paused_at"),
    PrimaryKeyConstraint("tenant", "agent"),
)

definitions = Table(
    "definitions",
    metadata,
    _text("tenant"),
    _text("kind"),
    _text("name"),
    _number("version", Integer, None),
    _text("digest"),
    _text("app"),
    _json("body"),
    _time("created_at"),
    PrimaryKeyConstraint("tenant", "kind", "name", "version"),
    CheckConstraint("kind in ('agent', 'tool')", name="definitions_kind_check"),
)

deployments = Table(
    "deployments",
    metadata,
    Column("seq", BigInteger, Identity(always=True), nullable=False),
    _text("tenant"),
    _text("kind"),
    _text("name"),
    _number("version", Integer, None),
    Column("previous", Integer),
    _text("cause"),
    _time("created_at"),
    PrimaryKeyConstraint("seq"),
    CheckConstraint("kind in ('agent', 'tool')", name="deployments_kind_check"),
    CheckConstraint("cause in ('start', 'deploy', 'rollback')", name="deployments_cause_check"),
)
Index(
    "deployments_newest",
    deployments.c.tenant,
    deployments.c.kind,
    deployments.c.name,
    deployments.c.seq,
)
