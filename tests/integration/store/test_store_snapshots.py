"""Snapshots become true with their append, and what brings an instance back begins with the newest of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import making
import pytest

from trunkline.domain.errors import Fenced, JournalCorrupt
from trunkline.domain.ids import new_id
from trunkline.domain.journal import Entry, RunCompleted
from trunkline.domain.mail import Envelope
from trunkline.domain.snapshot import Snapshot
from trunkline.domain.status import RunStatus
from trunkline.store import history, instances, journal
from trunkline.store.append import Append, Appender, RunChange, SnapshotMade
from trunkline.store.audit import audit
from trunkline.store.database import Database
from trunkline.store.leases import Lease


def ended(run: str, total: int) -> list[Entry]:
    said = [{"role": "user", "content": f"{total}"}]
    return [making.started(run), RunCompleted(run, output=None, state={"total": total}, conversation=said)]


def made(lease: Lease, version: int, total: int, messages: int) -> SnapshotMade:
    conversation = [{"role": "user", "content": f"{n}"} for n in range(1, messages + 1)]
    return SnapshotMade(version, Snapshot(version, {"total": total}, conversation).encode(lease.instance))


def run_ended(run: str) -> list[RunChange]:
    return [RunChange(run, RunStatus.COMPLETED, started=True, ended=True)]


@pytest.fixture
async def lived(db: Database, appender: Appender) -> tuple[Lease, Envelope]:
    """An instance of three runs, with a snapshot behind the second."""
    owner, [(lease, first)] = await making.owned(db)
    letters = [first, making.envelope(first.key), making.envelope(first.key)]
    await making.accept(db, letters[1:])
    for place, letter in enumerate(letters):
        snapshot = made(lease, 4, 2, 2) if place == 1 else None
        entries, runs = ended(letter.run, place + 1), run_ended(letter.run)
        await appender.append(making.append(lease, owner, entries, after=2 * place, runs=runs, snapshot=snapshot))
    return lease, first


async def past(db: Database, lease: Lease) -> history.History | JournalCorrupt:
    return (await history.read(db, [lease.instance]))[lease.instance]


async def test_history_is_the_snapshot_and_the_entries_behind_it(db: Database, lived: Any) -> None:
    lease, letter = lived
    found = await past(db, lease)
    assert isinstance(found, history.History)
    assert (found.covered, [row.version for row in found.rows]) == (4, [5, 6])
    assert (found.fold().state, len(found.fold().conversation)) == ({"total": 3}, 3)
    assert await found.folded() == await found.folded() == found.fold()
    view = await instances.get(db, making.TENANT, making.AGENT, letter.key)
    assert (view.state, len(view.conversation)) == ({"total": 3}, 3)
    assert (await audit(db, making.TENANT)).violations == []


async def test_instances_with_and_without_a_snapshot_are_read_together(
    db: Database, appender: Appender, lived: Any
) -> None:
    owner, pairs = await making.owned(db, 2)
    await appender.append(making.append(pairs[0][0], owner, ended(pairs[0][1].run, 9)))
    wanted = [lived[0].instance, *(lease.instance for lease, _ in pairs), new_id()]
    found = await history.read(db, wanted)
    assert set(found) == set(wanted[:3])
    assert [(one.covered, len(one.rows)) for one in map(found.get, wanted[:3]) if isinstance(one, history.History)] == [
        (4, 2), (0, 2), (0, 0),
    ]  # fmt: skip


async def test_of_a_chain_the_newest_stays_and_an_older_one_never_replaces_it(
    db: Database, appending: Callable[..., Appender]
) -> None:
    owner, [(lease, letter)] = await making.owned(db)
    appender = appending(db)
    chain: list[Append] = []
    for place in range(3):
        run = letter.run if place == 0 else new_id()
        snapshot = made(lease, 2 * place + 2, place, 0) if place < 2 else None
        chain.append(making.append(lease, owner, ended(run, place), after=2 * place, snapshot=snapshot))
    futures = [making.submitted(appender, append) for append in chain]
    appender.start()
    await asyncio.gather(*futures)
    assert appender.stats.groups == 1
    assert await making.value(db, "select version from snapshots") == 4
    await appender.append(making.append(lease, owner, ended(new_id(), 3), after=6, snapshot=made(lease, 2, 0, 0)))
    assert await making.value(db, "select version from snapshots") == 4


async def test_a_refused_append_leaves_no_snapshot(db: Database, appender: Appender) -> None:
    owner, [(lease, letter)] = await making.owned(db)
    stale = making.append(lease, owner, ended(letter.run, 1), epoch=lease.epoch - 1, snapshot=made(lease, 2, 1, 1))
    with pytest.raises(Fenced):
        await appender.append(stale)
    assert await making.rows(db, "select * from snapshots") == []


DAMAGE = [
    ("update snapshots set body = replace(body::text, '\"total\":2', '\"total\":7')::json", "digest does not fit"),
    ("update snapshots set body = '[]'", "its format is None"),
    ("update snapshots set body = replace(body::text, '\"format\":1', '\"format\":9')::json", "its format is 9"),
    ("update snapshots set version = 3", "digest does not fit"),
    ("update snapshots set version = 7", "the head is 6"),
]


@pytest.mark.parametrize("damage", [damage for damage, _ in DAMAGE])
async def test_a_damaged_one_is_passed_over_and_the_journal_read_whole(db: Database, lived: Any, damage: str) -> None:
    await making.rows(db, damage)
    found = await past(db, lived[0])
    assert isinstance(found, history.History)
    assert (found.covered, len(found.rows), found.fold().state) == (0, 6, {"total": 3})
    [violation] = (await audit(db, making.TENANT)).violations
    assert "not usable" in violation


async def forget(db: Database, below: int) -> None:
    async with db.connection() as connection, connection.transaction():
        await connection.execute("set local trunkline.retention = 'on'")
        await connection.execute("delete from journal where version <= %s", [below])
        await connection.execute("update snapshots set floor = %s", [below])


@pytest.mark.parametrize(("damage", "why"), DAMAGE[:3])
async def test_without_its_beginning_a_damaged_one_is_refused_and_never_begun_anew(
    db: Database, lived: Any, damage: str, why: str
) -> None:
    await forget(db, 3)
    assert (await audit(db, making.TENANT)).violations == []
    await making.rows(db, damage)
    found = await past(db, lived[0])
    assert isinstance(found, JournalCorrupt)
    assert "its beginning was removed" in str(found)
    assert why in str(found)


async def test_without_a_snapshot_a_missing_beginning_is_corrupt(db: Database, lived: Any) -> None:
    await forget(db, 4)
    await making.rows(db, "delete from snapshots")
    assert "version 1 is missing" in str(await past(db, lived[0]))


async def test_what_is_kept_of_a_journal_says_what_is_gone(db: Database, lived: Any) -> None:
    lease, _ = lived
    await forget(db, 3)
    kept = (await journal.read(db, [lease.instance]))[lease.instance]
    assert isinstance(kept, journal.Journal)
    assert (kept.removed, kept.covered, [row.version for row in kept.rows]) == (3, 4, [4, 5, 6])
    await making.rows(db, "update instances set head = 7")
    assert "the head is 7" in str((await journal.read(db, [lease.instance]))[lease.instance])


async def test_the_audit_sees_a_snapshot_that_lies(db: Database, lived: Any) -> None:
    lease, _ = lived
    lie = Snapshot(4, {"total": 8}, []).encode(lease.instance).decode()
    await making.rows(db, "update snapshots set body = %s", lie)
    assert "is not what its journal comes to" in (await audit(db, making.TENANT)).violations[0]
    early = Snapshot(3, {"total": 1}, [{"role": "user", "content": "1"}]).encode(lease.instance).decode()
    await making.rows(db, "update snapshots set version = 3, body = %s", early)
    assert "a run was open" in (await audit(db, making.TENANT)).violations[0]
