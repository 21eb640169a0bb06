"""The journal is append-only by the database's own word, and what reads it does not swallow what is wrong with it."""

from __future__ import annotations

import making
import psycopg
import pytest

from trunkline.domain import journal as entries
from trunkline.domain.errors import JournalCorrupt
from trunkline.domain.ids import new_id
from trunkline.domain.status import RunStatus
from trunkline.store import journal
from trunkline.store.append import Appender, RunChange
from trunkline.store.database import Database


@pytest.fixture
async def written(db: Database, appender: Appender):
    owner, [(lease, letter)] = await making.owned(db)
    entries = [making.started(letter.run), making.completed(letter.run), making.completed(letter.run)]
    await appender.append(making.append(lease, owner, entries))
    return lease


@pytest.mark.parametrize(
    "statement",
    [
        "update journal set type = 'RunFailed'",
        "delete from journal",
        "truncate journal",
        "truncate journal cascade",
        *(f"truncate journal_{n}" for n in range(8)),
    ],
)
async def test_the_database_refuses_to_change_it(db: Database, written, statement: str) -> None:
    with pytest.raises(psycopg.errors.RestrictViolation, match="append-only"):
        await making.rows(db, statement)
    assert await making.value(db, "select count(*) from journal") == 3


async def test_its_partitions_refuse_as_well(db: Database, written) -> None:
    refusals = 0
    for n in range(8):
        for statement in (f"update journal_{n} set epoch = 0", f"delete from journal_{n}"):
            try:
                await making.rows(db, statement)
            except psycopg.errors.RestrictViolation:
                refusals += 1
    assert refusals == 2, "the one partition that has rows refuses both"


async def test_retention_deletes_only_below_a_snapshot(db: Database, written) -> None:
    await making.rows(db, "insert into snapshots (instance, version, body) values (%s, 2, '{}')", written.instance)
    with pytest.raises(psycopg.errors.RestrictViolation):
        await making.rows(db, "delete from journal where version = 1")
    async with db.connection() as connection, connection.transaction():
        await connection.execute("set local trunkline.retention = 'on'")
        with pytest.raises(psycopg.errors.RestrictViolation):
            async with connection.transaction():
                await connection.execute("delete from journal where version = 3")
        with pytest.raises(psycopg.errors.RestrictViolation):
            async with connection.transaction():
                await connection.execute("update journal set epoch = 7 where version = 1")
        await connection.execute("delete from journal where version <= 2")
    assert await making.rows(db, "select version from journal") == [(3,)]


async def test_where_the_role_exists_only_its_members_delete(db: Database, written, url: str) -> None:
    await making.rows(db, "insert into snapshots (instance, version, body) values (%s, 3, '{}')", written.instance)
    stranger, member = f"s{new_id()[-8:]}", f"m{new_id()[-8:]}"
    await making.rows(
        db,
        f"create role trunkline_retention; create role {stranger}; create role {member} in role trunkline_retention;"
        f"grant usage on schema {db.schema} to public;"
        f"grant select, delete on all tables in schema {db.schema} to public",
    )
    try:
        async with db.connection() as connection:
            for role, allowed in ((stranger, False), (member, True)):
                deleted = True
                try:
                    async with connection.transaction():
                        await connection.execute(f"set local role {role}; set local trunkline.retention = 'on'")
                        await connection.execute("delete from journal where version = 1")
                except psycopg.errors.RestrictViolation:
                    deleted = False
                assert deleted is allowed
    finally:
        await making.rows(db, f"drop owned by {stranger}, {member} cascade; drop role {stranger}, {member}")
        await making.rows(db, "drop role trunkline_retention")


async def _plant(db: Database, instance: str, *versions: tuple[int, int, str]) -> None:
    for version, epoch, type_ in versions:
        await making.rows(
            db,
            "insert into journal (instance, version, run, type, body, epoch, writer)"
            " values (%s, %s, %s, %s, %s, %s, 0)",
            instance, version, new_id(), type_, '{"key": "k"}', epoch,
        )  # fmt: skip
    newest = versions[-1][0]
    await making.rows(db, "update instances set head = %s where id = %s", newest, instance)


@pytest.mark.parametrize(
    ("planted", "reason"),
    [
        ([(1, 1, "StepCancelled"), (3, 1, "StepCancelled")], "version 2 is missing"),
        ([(2, 1, "StepCancelled")], "version 1 is missing"),
        ([(1, 2, "StepCancelled"), (2, 1, "StepCancelled")], "of epoch 1, after 2"),
        ([(1, 1, "StepForgotten")], "unknown to this version"),
        ([(1, 1, "StepScheduled")], "does not fit"),
    ],
)
async def test_a_corrupt_journal_is_named_and_its_neighbours_are_read(
    db: Database, written, planted: list[tuple[int, int, str]], reason: str
) -> None:
    _, [(lease, _)] = await making.owned(db)
    await _plant(db, lease.instance, *planted)
    found = await journal.read(db, [lease.instance, written.instance])
    corrupt, sound = found[lease.instance], found[written.instance]
    assert isinstance(corrupt, JournalCorrupt)
    assert reason in str(corrupt)
    assert isinstance(sound, journal.Journal)
    assert [row.version for row in sound.rows] == [1, 2, 3]


async def test_a_missing_end_is_noticed(db: Database, written) -> None:
    await making.rows(db, "update instances set head = 4")
    found = await journal.read(db, [written.instance])
    assert "ends at version 3, and the head is 4" in str(found[written.instance])


async def test_reads_back_what_was_appended(db: Database, appender: Appender) -> None:
    owner, [(lease, letter)] = await making.owned(db)
    value = {"z": 1, "a": ["ü", None, 1.5, True], "nested": {"b": 1, "a": 2}}
    entries = [making.started(letter.run), making.completed(letter.run, value)]
    await appender.append(making.append(lease, owner, entries))
    found = (await journal.read(db, [lease.instance, new_id()]))[lease.instance]
    assert isinstance(found, journal.Journal)
    assert [row.entry for row in found.rows] == entries
    assert list(found.rows[1].entry.value) == ["z", "a", "nested"], "the order of keys is kept"
    assert {row.epoch for row in found.rows} == {lease.epoch}


async def test_a_runs_own_entries_and_its_tail(db: Database, appender: Appender) -> None:
    owner, [(lease, letter)] = await making.owned(db)
    run, other = letter.run, making.envelope(letter.key)
    await making.accept(db, [other])
    mine = [making.started(run), making.completed(run), making.completed(run)]
    theirs = [making.started(other.run), making.completed(other.run)]
    await appender.append(
        making.append(lease, owner, mine, runs=[RunChange(run, RunStatus.COMPLETED, started=True, ended=True)])
    )
    await appender.append(
        making.append(lease, owner, theirs, after=3, runs=[RunChange(other.run, RunStatus.RUNNING, started=True)])
    )
    assert [row.entry for row in await journal.read_run(db, making.TENANT, run)] == mine
    assert [row.entry for row in await journal.read_run(db, making.TENANT, other.run)] == theirs
    assert [row.version for row in await journal.read_run(db, making.TENANT, run, after=1, limit=1)] == [2]
    assert await journal.read_run(db, "another", run) == []
    tails = await journal.tails(db, {run: 2, other.run: 0, new_id(): 0})
    assert [[row.version for row in found] for found in tails.values()] == [[3], [4, 5], []]


async def test_entries_of_an_earlier_schema_are_brought_to_this_one_and_newer_ones_are_refused(
    db: Database, written, monkeypatch: pytest.MonkeyPatch
) -> None:
    def second(type_: str, body: dict[str, object]) -> dict[str, object]:
        return {**body, "attempt": 2} if type_ == "StepCompleted" else body

    def third(type_: str, body: dict[str, object]) -> dict[str, object]:
        return {**body, "attempt": body["attempt"] * 10} if type_ == "StepCompleted" else body

    monkeypatch.setattr(entries, "SCHEMA_VERSION", 3)
    monkeypatch.setattr(entries, "UPCASTS", {1: second, 2: third})
    found = (await journal.read(db, [written.instance]))[written.instance]
    assert isinstance(found, journal.Journal)
    assert [getattr(row.entry, "attempt", None) for row in found.rows] == [None, 20, 20]
    monkeypatch.setattr(entries, "SCHEMA_VERSION", 0)
    refused = (await journal.read(db, [written.instance]))[written.instance]
    assert isinstance(refused, JournalCorrupt)
    assert "schema version 1, and this version knows 0" in str(refused)
