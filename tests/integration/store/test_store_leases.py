"""Leases, the roster, reclaim and leadership: each change compares who held it, and at which epoch."""

from __future__ import annotations

import asyncio

import making
import pytest
from making import AGENT, TENANT, envelope, owned, worker

from trunkline.domain.errors import Fenced, WorkerDead
from trunkline.domain.ids import new_id
from trunkline.domain.status import RunStatus
from trunkline.store import blocks, leaders, leases, mailbox, reclaim, workers
from trunkline.store.accept import accept
from trunkline.store.append import Appender, RunChange
from trunkline.store.database import Database


async def test_one_of_many_takers_gets_it(db: Database) -> None:
    letters = [envelope() for _ in range(20)]
    await accept(db, letters)
    ids = [letter.instance for letter in letters]
    takers = [await worker(db) for _ in range(4)]
    taken = await asyncio.gather(*(leases.take(db, taker, ids) for taker in takers))
    assert sorted(lease.instance for got, _ in taken for lease in got) == sorted(ids)
    owners = {lease.instance: taker for taker, (got, _) in zip(takers, taken, strict=True) for lease in got}
    for _, held in taken:
        assert {each.instance: each.owner for each in held}.items() <= owners.items()


async def test_what_is_held_or_unknown_is_not_taken(db: Database) -> None:
    first, [(lease, _)] = await owned(db)
    second = await worker(db)
    got, held = await leases.take(db, second, [lease.instance, new_id()])
    assert got == []
    assert [(each.instance, each.owner) for each in held] == [(lease.instance, first)]
    assert await leases.owner_of(db, lease.instance) == first
    assert await leases.owner_of(db, new_id()) is None
    assert await leases.held_by(db, first) == [(TENANT, AGENT, lease.instance)]


async def test_a_row_that_is_locked_is_taken_later_and_holds_up_no_other(db: Database) -> None:
    owner, [(locked, _), (free, _)] = await owned(db, 2)
    ids = [locked.instance, free.instance]
    await leases.release(db, owner, [(one, 1) for one in ids])
    taker = await worker(db)
    async with db.connection() as connection, connection.transaction():
        await connection.execute("select from instances where id = %s for update", [locked.instance])
        got, held = await asyncio.wait_for(leases.take(db, taker, ids), 5)
        assert ([one.instance for one in got], held) == ([free.instance], [leases.Held(locked.instance, "")])
    [[lease], none] = await leases.take(db, taker, [locked.instance])
    assert (lease.instance, lease.epoch, none) == (locked.instance, 2, [])


async def test_every_taking_raises_the_epoch(db: Database) -> None:
    owner, [(lease, _)] = await owned(db)
    for epoch in (1, 2, 3):
        assert lease.epoch == epoch
        await leases.release(db, owner, [(lease.instance, epoch)])
        [[lease], _] = await leases.take(db, owner, [lease.instance])


async def test_release_compares_owner_and_epoch_and_names_what_still_has_mail(db: Database, appender: Appender) -> None:
    owner, [(lease, _), (idle, others)] = await owned(db, 2)
    stranger = await worker(db)
    assert await leases.release(db, owner, [(lease.instance, lease.epoch + 1)]) == []
    assert await leases.release(db, stranger, [(lease.instance, lease.epoch)]) == []
    assert await leases.owner_of(db, lease.instance) == owner
    [mail] = (await mailbox.pending(db, [idle.instance]))[idle.instance]
    await appender.append(making.append(idle, owner, [making.started(others.run)], taken=[mail.seq]))
    both = [(lease.instance, lease.epoch), (idle.instance, idle.epoch)]
    assert await leases.release(db, owner, both) == [lease.instance]
    assert await leases.owner_of(db, lease.instance) is None


async def test_a_dead_worker_takes_nothing_and_beats_in_vain(db: Database) -> None:
    letter = envelope()
    await accept(db, [letter])
    dead, gone = await worker(db), await worker(db)
    assert await making.declare_dead(db, dead)
    await workers.leave(db, gone)
    for name in (dead, gone, new_id()):
        with pytest.raises(WorkerDead):
            await leases.take(db, name, [letter.instance])
        assert not await workers.beat(db, name, progress=1, held=0, draining=False)
    assert await making.value(db, "select count(*) from instances") == 0


async def test_taking_and_dying_do_not_cross(db: Database) -> None:
    """A worker is declared dead while it takes: either it comes too late, or what it took is there to reclaim."""
    for _ in range(10):
        letters = [envelope() for _ in range(5)]
        await accept(db, letters)
        name = await worker(db)
        taking = leases.take(db, name, [letter.instance for letter in letters])
        taken, died = await asyncio.gather(taking, making.declare_dead(db, name), return_exceptions=True)
        assert died is True
        reclaimed = await reclaim.reclaim(db, name)
        assert len(reclaimed) == (0 if isinstance(taken, WorkerDead) else 5)


async def test_a_beat_tells_what_a_worker_announces_and_nothing_changes_nothing(db: Database) -> None:
    name = await worker(db)
    announced = {"orders": {"code": "c", "state": 1, "definition": 2}}
    for said, kept in (({}, {}), (announced, announced), ({}, announced), (None, announced)):
        assert await workers.beat(db, name, progress=1, held=0, draining=False, announces=said)
        assert await workers.announced(db, TENANT) == {name: kept}
    assert await workers.beat(db, name, progress=1, held=0, draining=True)
    assert await workers.announced(db, TENANT) == {}


async def test_death_compares_the_beat_that_was_seen(db: Database) -> None:
    name = await worker(db)
    [seen] = await workers.silent(db, 0.0)
    assert seen.worker == name
    assert await workers.beat(db, name, progress=7, held=2, draining=True)
    assert not await workers.declare_dead(db, name, seen.beat_at), "it has beaten since"
    [seen] = await workers.list_workers(db, TENANT)
    assert (seen.progress, seen.held, seen.draining, seen.dead_at) == (7, 2, True, None)
    assert await workers.silent(db, 60.0) == []
    assert await workers.declare_dead(db, name, seen.beat_at)
    assert not await workers.declare_dead(db, name, seen.beat_at), "it is dead already"
    assert await workers.list_workers(db) == []
    [gone] = await workers.list_workers(db, gone=60.0)
    assert gone.dead_at is not None
    assert [each.worker for each in await workers.departed(db)] == [name]
    assert await workers.list_workers(db, "another", gone=60.0) == []


async def test_only_what_a_dead_worker_holds_is_reclaimed_and_it_is_fenced(db: Database, appender: Appender) -> None:
    owner, held = await owned(db, 3)
    other, [(theirs, _)] = await owned(db)
    assert await reclaim.reclaim(db, owner) == [], "it is alive"
    await making.declare_dead(db, owner)
    first = await reclaim.reclaim(db, owner, limit=2)
    rest = await reclaim.reclaim(db, owner)
    assert sorted(instance for _, _, instance, *_ in first + rest) == [lease.instance for lease, _ in held]
    assert {takeovers for *_, takeovers in first + rest} == {1}
    assert await reclaim.reclaim(db, owner) == []
    assert await leases.owner_of(db, theirs.instance) == other
    lease, letter = held[0]
    with pytest.raises(Fenced):
        await appender.append(making.append(lease, owner, [making.started(letter.run)]))
    assert await leases.release(db, owner, [(lease.instance, lease.epoch)]) == []


async def test_takeovers_are_counted_until_there_is_progress(db: Database, appender: Appender) -> None:
    name, [(lease, letter)] = await owned(db)
    for takeovers in (1, 2, 3):
        await making.declare_dead(db, name)
        [(*_, counted)] = await reclaim.reclaim(db, name)
        name = await worker(db)
        [[lease], _] = await leases.take(db, name, [lease.instance])
        assert (counted, lease.takeovers) == (takeovers, takeovers)
        assert lease.epoch == 1 + 2 * takeovers
    await appender.append(making.append(lease, name, [making.started(letter.run)]))
    await workers.leave(db, name)
    [(*_, counted)] = await reclaim.reclaim(db, name)
    assert counted == 0, "a worker that said goodbye was not killed by its work"


async def test_a_run_that_nobody_drives_is_found(db: Database, appender: Appender) -> None:
    owner, [(lease, letter)] = await owned(db)
    change = RunChange(letter.run, RunStatus.RUNNING, started=True)
    await appender.append(making.append(lease, owner, [making.started(letter.run)], runs=[change]))
    assert await reclaim.stalled(db, 0.0) == [], "its owner drives it"
    await leases.release(db, owner, [(lease.instance, lease.epoch)])
    assert await reclaim.stalled(db, 60.0) == [], "not for long enough"
    assert await reclaim.stalled(db, 0.0) == [(TENANT, AGENT, lease.instance)]
    assert await reclaim.stalled(db, 0.0, after=lease.instance) == []


async def test_mail_that_nobody_took_is_found_a_page_at_a_time(db: Database) -> None:
    letters = [envelope() for _ in range(5)]
    await accept(db, [*letters, *(envelope(letter.key) for letter in letters)])
    ids = sorted(letter.instance for letter in letters)
    assert await mailbox.untaken(db, 60.0, 10) == []
    assert [instance for _, _, instance in await mailbox.untaken(db, 0.0, 10)] == ids
    page = await mailbox.untaken(db, 0.0, 2)
    page += await mailbox.untaken(db, 0.0, 10, after=page[-1][2])
    assert page == [(TENANT, AGENT, instance) for instance in ids]


async def test_pending_mail_is_read_around_what_is_known(db: Database) -> None:
    letters = [envelope("k") for _ in range(5)]
    await accept(db, letters)
    instance = letters[0].instance
    everything = (await mailbox.pending(db, [instance, new_id()]))[instance]
    known = [mail.seq for mail in everything[::2]]
    assert (await mailbox.pending(db, [instance], known))[instance] == everything[1::2]
    assert (await mailbox.pending(db, [instance], page=2))[instance] == everything[:2]
    assert await mailbox.pending(db, []) == {}


async def test_one_leads_until_its_lease_runs_out(db: Database) -> None:
    first = await leaders.acquire(db, "supervisor", "a", 60.0)
    assert first == 1
    assert await leaders.acquire(db, "supervisor", "b", 60.0) is None
    assert await leaders.acquire(db, "another", "b", 60.0) == 1
    assert await leaders.renew(db, "supervisor", "a", first, 0.0)
    assert not await leaders.renew(db, "supervisor", "a", first, 60.0), "too late"
    assert await leaders.acquire(db, "supervisor", "b", 60.0) == 2
    assert not await leaders.renew(db, "supervisor", "a", first, 60.0)
    await leaders.resign(db, "supervisor", "a", first)
    assert await leaders.acquire(db, "supervisor", "a", 60.0) is None, "it was not a's to give back"
    await leaders.resign(db, "supervisor", "b", 2)
    assert await leaders.acquire(db, "supervisor", "a", 60.0) == 3


async def test_of_many_that_would_lead_one_does(db: Database) -> None:
    epochs = await asyncio.gather(*(leaders.acquire(db, "one", str(n), 60.0) for n in range(8)))
    assert sorted(epoch for epoch in epochs if epoch is not None) == [1]


async def test_what_blocked_its_worker_to_death_is_shunned_for_a_while_and_longer_each_time(db: Database) -> None:
    name, [(first, _), (beside, _)] = await owned(db, 2)
    for shun in (100.0, 200.0):
        await asyncio.to_thread(blocks.mark, db, name, first.instance, blocks=True)
        await making.declare_dead(db, name)
        freed = {instance: blocked for _, _, instance, blocked, _ in await reclaim.reclaim(db, name, shun=100.0)}
        assert freed == {first.instance: True, beside.instance: False}
        name = await worker(db)
        taken, held = await leases.take(db, name, [first.instance, beside.instance])
        assert ([lease.instance for lease in taken], held) == ([beside.instance], [])
        assert shun - 50 < await _shunned(db, first.instance) <= shun
        await _forgive(db, first.instance)
        [[_], _] = await leases.take(db, name, [first.instance])
    await asyncio.to_thread(blocks.mark, db, name, first.instance, blocks=True)
    await making.declare_dead(db, name)
    await reclaim.reclaim(db, name, shun=100.0, takeovers=3)
    [[last], _] = await leases.take(db, await worker(db), [first.instance])
    assert last.takeovers == 3, "its code is not run again: it is taken at once, and parked"


async def test_a_block_that_ended_a_lease_that_is_over_and_a_stranger_mark_nothing(db: Database) -> None:
    name, [(first, _), (second, _)] = await owned(db, 2)
    await asyncio.to_thread(blocks.mark, db, name, first.instance, blocks=True)
    await asyncio.to_thread(blocks.mark, db, name, first.instance, blocks=False)
    await asyncio.to_thread(blocks.mark, db, await worker(db), second.instance, blocks=True)
    await making.declare_dead(db, name)
    assert {blocked for *_, blocked, _ in await reclaim.reclaim(db, name)} == {False}


async def _shunned(db: Database, instance: str) -> float:
    async with db.connection() as connection:
        sql = "select extract(epoch from shunned_until - clock_timestamp())::float8 from instances where id = %s"
        row = await (await connection.execute(sql, [instance])).fetchone()
    return float(row[0])


async def _forgive(db: Database, instance: str) -> None:
    async with db.connection() as connection:
        await connection.execute("update instances set shunned_until = now() where id = %s", [instance])
