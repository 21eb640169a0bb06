"""The tables as SQLAlchemy knows them: what the migrations must come to (a test compares the two).

Nothing reads or writes through these; they are the one place to look up a column. Ids are ``uuid``; JSON is ``json``,
as ``jsonb`` would reorder keys. There are no foreign keys: ids are derived from addresses, rows that belong together
are written in one transaction, and the hot path should not pay for checks of what cannot be.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    UniqueConstraint,
    text,
)

from trunkline.store.columns import id_column as _id
from trunkline.store.columns import json_column as _json
from trunkline.store.columns import metadata
from trunkline.store.columns import number_column as _number
from trunkline.store.columns import text_column as _text
from trunkline.store.columns import time_column as _time
from trunkline.store.declared import definitions, deployments, pauses, schedules, subscriptions

__all__ = [
    "approvals", "dead_letters", "definitions", "deployments", "instances", "journal", "leaders", "mailbox", "metadata",
    "pauses", "payloads", "runs", "schedules", "snapshots", "subscriptions", "timers", "tombstones", "workers",
]  # fmt: skip

instances = Table(
    "instances",
    metadata,
    _id("id"),
    _text("tenant"),
    _text("agent"),
    _text("key"),
    _number("head"),
    _text("owner", null=True),
    _number("epoch"),
    _time("progress_at"),
    _number("takeovers", Integer),
    _time("created_at"),
    Column("blocks_epoch", BigInteger),
    _time("shunned_until", null=True),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("tenant", "agent", "key"),
)
Index("instances_owned", instances.c.owner, postgresql_where=text("owner is not null"))

mailbox = Table(
    "mailbox",
    metadata,
    Column("seq", BigInteger, Identity(always=True), nullable=False),
    _text("tenant"),
    _id("instance"),
    _text("agent"),
    _text("key"),
    _text("message_id"),
    _text("kind"),
    _id("run", null=True),
    _json("body"),
    _text("digest", ""),
    _time("created_at"),
    _time("taken_at", null=True),
    PrimaryKeyConstraint("seq"),
    UniqueConstraint("tenant", "instance", "message_id"),
    CheckConstraint(
        "kind in ('request', 'event', 'signal', 'reply', 'timer', 'cancel', 'resolve')", name="mailbox_kind_check"
    ),
)
Index("mailbox_untaken", mailbox.c.instance, mailbox.c.seq, postgresql_where=text("taken_at is null"))

journal = Table(
    "journal",
    metadata,
    _id("instance"),
    _number("version", default=None),
    _id("run"),
    _text("type"),
    _json("body"),
    _text("codec", "json"),
    _number("schema_version", SmallInteger, "1"),
    _number("epoch", default=None),
    _number("writer", Integer, None),
    _time("recorded_at"),
    PrimaryKeyConstraint("instance", "version"),
    postgresql_partition_by="HASH (instance)",
)

snapshots = Table(
    "snapshots",
    metadata,
    _id("instance"),
    _number("version", default=None),
    _json("body"),
    _time("created_at"),
    _number("floor"),
    PrimaryKeyConstraint("instance"),
)

runs = Table(
    "runs",
    metadata,
    _id("id"),
    _text("tenant"),
    _id("instance"),
    _text("agent"),
    _text("key"),
    _text("status", "accepted"),
    _text("handler", ""),
    _number("definition", Integer),
    _text("code", ""),
    _json("input", null=True),
    _json("output", null=True),
    _json("error", null=True),
    _json("usage", null=True),
    _number("cost_usd", Numeric),
    _text("parked_reason", ""),
    _text("parked_detail", ""),
    _json("next_actions", null=True),
    _id("parent_run", null=True),
    Column("first_version", BigInteger),
    Column("last_version", BigInteger),
    _time("created_at"),
    _time("started_at", null=True),
    _time("ended_at", null=True),
    _time("deadline", null=True),
    _number("restarts", Integer),
    PrimaryKeyConstraint("id"),
    CheckConstraint(
        "status in ('accepted', 'running', 'waiting', 'parked', 'completed', 'failed', 'cancelled')",
        name="runs_status_check",
    ),
)
Index("runs_listed", runs.c.tenant, runs.c.created_at, runs.c.id)
Index("runs_listed_by_agent", runs.c.tenant, runs.c.agent, runs.c.created_at, runs.c.id)
Index("runs_of_instance", runs.c.instance, runs.c.created_at, runs.c.id)
Index(
    "runs_open_by_status",
    runs.c.status,
    runs.c.instance,
    postgresql_where=text("status in ('accepted', 'running', 'waiting', 'parked')"),
)

Index(
    "runs_failed",
    runs.c.tenant,
    runs.c.status,
    runs.c.created_at,
    runs.c.id,
    postgresql_where=text("status in ('failed', 'cancelled')"),
)
Index("runs_ended", runs.c.ended_at, runs.c.id, postgresql_where=text("ended_at is not null"))
Index(
    "runs_of_parent",
    runs.c.parent_run,
    runs.c.created_at,
    runs.c.id,
    postgresql_where=text("parent_run is not null"),
)

bonds = Table(
    "bonds",
    metadata,
    _text("tenant"),
    _id("run"),
    _text("kind"),
    _id("watcher"),
    _text("step"),
    _id("instance"),
    _text("agent"),
    _text("key"),
    _time("created_at"),
    PrimaryKeyConstraint("tenant", "run", "kind", "watcher", "step"),
    CheckConstraint("kind in ('monitor', 'link', 'stop')", name="bonds_kind_check"),
)
Index("bonds_of_run", bonds.c.run)
Index("bonds_of_watcher", bonds.c.watcher)

timers = Table(
    "timers",
    metadata,
    _id("instance"),
    _id("run"),
    _text("step"),
    _text("tenant"),
    _text("agent"),
    Column("due_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("instance", "run", "step"),
)
Index("timers_due", timers.c.due_at)

approvals = Table(
    "approvals",
    metadata,
    _id("id"),
    _text("tenant"),
    _id("instance"),
    _text("agent"),
    _text("key"),
    _id("run"),
    _text("step"),
    _text("name"),
    _json("subject", null=True),
    _text("digest"),
    _time("created_at"),
    _time("expires_at", null=True),
    _time("closed_at", null=True),
    PrimaryKeyConstraint("id"),
)
Index(
    "approvals_listed",
    approvals.c.tenant,
    approvals.c.created_at,
    approvals.c.id,
    postgresql_where=approvals.c.closed_at.is_(None),
)

Index("approvals_closed", approvals.c.closed_at, postgresql_where=text("closed_at is not null"))

dead_letters = Table(
    "dead_letters",
    metadata,
    _id("id"),
    _text("tenant"),
    _text("source"),
    _text("reason"),
    _text("detail", ""),
    _text("subject", ""),
    _json("body", null=True),
    _number("attempts", Integer),
    _time("created_at"),
    _time("settled_at", null=True),
    _text("settled_as", ""),
    PrimaryKeyConstraint("id"),
)
Index(
    "dead_letters_listed",
    dead_letters.c.tenant,
    dead_letters.c.created_at,
    dead_letters.c.id,
    postgresql_where=text("settled_at is null"),
)

Index("dead_letters_settled", dead_letters.c.settled_at, postgresql_where=text("settled_at is not null"))

payloads = Table(
    "payloads",
    metadata,
    _text("tenant"),
    _text("id"),
    _text("body"),
    _time("created_at"),
    _id("run", null=True),
    PrimaryKeyConstraint("tenant", "id"),
)
Index("payloads_made", payloads.c.created_at)
Index("payloads_of_run", payloads.c.run, postgresql_where=text("run is not null"))

tombstones = Table(
    "tombstones",
    metadata,
    _text("tenant"),
    _id("instance"),
    _number("epoch", default=None),
    _number("version", default=None),
    _time("erased_at"),
    _time("purged_at", null=True),
    PrimaryKeyConstraint("instance", "epoch"),
)
Index("tombstones_unpurged", tombstones.c.erased_at, postgresql_where=text("purged_at is null"))

workers = Table(
    "workers",
    metadata,
    _text("id"),
    _text("tenant"),
    _text("kind"),
    _text("app"),
    _text("host"),
    _number("pid", Integer, None),
    _time("started_at"),
    _time("beat_at"),
    _number("progress"),
    _number("held", Integer),
    Column("draining", Boolean, nullable=False, server_default=text("false")),
    _time("dead_at", null=True),
    _time("left_at", null=True),
    _json("announces", null=True),
    PrimaryKeyConstraint("id"),
)
Index("workers_beating", workers.c.beat_at, postgresql_where=text("dead_at is null and left_at is null"))

leaders = Table(
    "leaders",
    metadata,
    _text("name"),
    _text("owner"),
    _number("epoch", default=None),
    Column("until_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("name"),
)
