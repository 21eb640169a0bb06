"""What ``trunkline doctor`` finds: each thing that the promises rest on, its state, and how to mend it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal

from trunkline.bus.connection import Bus
from trunkline.cli.failures import FAILED, OK, UNREACHABLE
from trunkline.domain.errors import NotConfigured, NotUnderstood, SchemaMismatch, Unavailable
from trunkline.observe.logs import hide_secrets
from trunkline.settings import Settings
from trunkline.store import durability, erasure, retention, version
from trunkline.store.database import Database, quoted
from trunkline.store.durability import Durability
from trunkline.store.retention import ROLE, Role


@dataclass(frozen=True, slots=True)
class Finding:
    """``state``: it is in order, it is not, it cannot be reached, or it is good to know."""

    what: str
    state: Literal["ok", "wrong", "unreachable", "note"]
    detail: str = ""
    fix: str = ""


async def examine(settings: Settings) -> list[Finding]:
    """Look at Postgres and NATS."""
    postgres = [finding async for finding in _postgres(settings)]
    return postgres + [finding async for finding in _nats(settings)]


async def _postgres(settings: Settings) -> AsyncIterator[Finding]:
    url = settings.database_url.get_secret_value()
    try:
        db = await Database.of(settings, size=1)
    except Unavailable as error:
        fix = f"start Postgres, or set TRUNKLINE_DATABASE_URL, which is {hide_secrets(url)}"
        yield Finding("Postgres", "unreachable", error.fields["reason"], fix)
        return
    except NotUnderstood as error:
        fix = f"set TRUNKLINE_DATABASE_URL, which is {hide_secrets(url)}"
        yield Finding("Postgres", "wrong", error.fields["reason"], fix)
        return
    try:
        found = await durability.read(db)
        yield Finding("Postgres", "ok", f"answers, version {found.server_version}")
        yield await _schema(db)
        for finding in durable(found):
            yield finding
        yield removing(await retention.role(db), settings.retention_days)
        yield erasing(await retention.role(db, erasure.ROLE))
    finally:
        await db.close()


async def _schema(db: Database) -> Finding:
    try:
        await version.check(db)
    except SchemaMismatch as error:
        needed, found = error.fields["needed"], error.fields["found"]
        newer = found.isdigit() and found > needed
        fix = "a newer trunkline migrated it: install that here, too" if newer else "trunkline migrate"
        return Finding("schema", "wrong", f"{db.schema!r} is at {found}, needed {needed}", fix)
    return Finding("schema", "ok", f"{db.schema!r} is at {version.NEEDED}")


def durable(found: Durability) -> list[Finding]:
    """What the server's settings mean for "accepted is never lost"."""
    findings = [
        _setting("fsync", found.fsync, wanted="on", because="a power cut may lose or corrupt everything"),
        _setting("full_page_writes", found.full_page_writes, wanted="on", because="a power cut may corrupt pages"),
    ]
    commit = found.synchronous_commit
    if commit == "off":
        detail = "synchronous_commit is off: a crash loses what was accepted last"
        findings.append(Finding("commit", "wrong", detail, _alter("synchronous_commit", "on")))
    elif found.replicas and (not found.synchronous_standby_names or commit == "local"):
        detail = f"{found.replicas} replicas, but no commit waits for one: a failover loses what was accepted last"
        setting = ("synchronous_commit", "on") if commit == "local" else ("synchronous_standby_names", "ANY 1 (*)")
        findings.append(Finding("commit", "wrong", detail, _alter(*setting)))
    else:
        waits = f", waits for {found.synchronous_standby_names}" if found.synchronous_standby_names else ""
        findings.append(Finding("commit", "ok", f"synchronous_commit is {commit}{waits}; {found.replicas} replicas"))
    return findings


def removing(role: Role, days: float) -> Finding:
    """Whether retention can do what the policy says."""
    if not days:
        return Finding("retention", "note", "TRUNKLINE_RETENTION_DAYS is 0: what has ended is kept for ever")
    policy = f"what ended {days:g} days ago is removed"
    if not role.exists:
        detail = f"{policy}; there is no role {ROLE}, so whoever may write may remove what a snapshot covers"
        fix = f"as superuser: create role {ROLE}; grant {ROLE} to {_named(role)};"
        return Finding("retention", "note", detail, fix)
    if not role.member:
        detail = f"{_named(role)} is not in the role {ROLE}: nothing is removed"
        return Finding("retention", "wrong", detail, f"as superuser: grant {ROLE} to {_named(role)};")
    return Finding("retention", "ok", f"{policy}, by members of {ROLE} alone")


def erasing(role: Role) -> Finding:
    """Whether this process's database role may erase an instance."""
    if not role.exists:
        return Finding(
            "erasure", "note", f"there is no role {erasure.ROLE}, so whoever may write may erase an instance"
        )
    if not role.member:
        detail = f"{_named(role)} is not in the role {erasure.ROLE}: it erases nothing"
        return Finding("erasure", "wrong", detail, f"as superuser: grant {erasure.ROLE} to {_named(role)};")
    return Finding("erasure", "ok", f"by members of {erasure.ROLE} alone")


def _named(role: Role) -> str:
    return quoted(role.user)


def _setting(name: str, value: str, *, wanted: str, because: str) -> Finding:
    if value == wanted:
        return Finding(name, "ok", value)
    return Finding(name, "wrong", f"it is {value}: {because}", _alter(name, wanted))


def _alter(name: str, value: str) -> str:
    return f"as superuser: alter system set {name} = '{value}'; select pg_reload_conf();"


async def _nats(settings: Settings) -> AsyncIterator[Finding]:
    try:
        bus = await Bus.connect(settings, name="doctor")
    except Unavailable as error:
        fix = f"start nats-server, or set TRUNKLINE_NATS_URL, which is {hide_secrets(settings.nats_url)}"
        yield Finding("NATS", "unreachable", error.fields["reason"], fix)
        return
    except NotConfigured as error:
        yield Finding("NATS", "wrong", f"{error.fields['what']} is not set", error.fields["fix"])
        return
    try:
        yield Finding("NATS", "ok", "answers")
        for finding in await _streams(bus):
            yield finding
    except Unavailable as error:
        fix = "Run nats-server with JetStream: -js, or a jetstream block in its configuration (see deploy/nats.conf)"
        yield Finding("JetStream", "unreachable", str(error), fix)
    finally:
        await bus.close()


async def _streams(bus: Bus) -> list[Finding]:
    wrong = [_stream(line) for line in await bus.check()]
    synced = (
        "NATS acknowledges a publish before it is on the disk (sync_interval, 2 minutes by default). Trunkline needs no"
        " more, because Postgres holds every fact; set sync_interval: always only for outside publishers"
    )
    return [
        Finding("JetStream", "ok", "answers"),
        *(wrong or [Finding("streams", "ok", "as this version needs them")]),
        Finding("fsync of NATS", "note", synced),
    ]


def _stream(line: str) -> Finding:
    difference, _, mend = line.partition(" Mend it with: ")
    declared = "every process declares what is missing at its start, e.g. trunkline supervisor"
    return Finding("streams", "wrong", difference, mend or declared)


def exit_code(findings: Sequence[Finding]) -> int:
    """The process's exit status after these findings."""
    states = {finding.state for finding in findings}
    if "unreachable" in states:
        return UNREACHABLE
    return FAILED if "wrong" in states else OK
