"""What has ended is removed after its age, in batches, and nothing that is still needed goes with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import psycopg
import pytest
from watching import AGENT, TENANT, request, rows

from trunkline.domain.errors import RetentionRefused, TookTooLong
from trunkline.domain.ids import new_id
from trunkline.domain.journal import Entry, RunCompleted, RunStarted
from trunkline.domain.mail import Envelope
from trunkline.domain.status import EnvelopeKind, RunStatus
from trunkline.domain.work import Heartbeat
from trunkline.settings import Settings
from trunkline.store import erasure, history, instances, leases, payloads, retention, workers
from trunkline.store.accept import accept
from trunkline.store.append import Append, Appender, RunChange
from trunkline.store.audit import audit
from trunkline.store.database import Database
from trunkline.supervisor.retention import Retention

DAYS = 30.0
AGE = DAYS * 86400


@pytest.fixture
def policy(quick: Settings) -> Settings:
    return quick.model_copy(update={"retention_days": DAYS, "retention_every": 0.1})


class Life:
    """An instance that a test makes runs in; ``ended`` are those that have ended, the oldest first."""

    def __init__(self, db: Database, appender: Appender, owner: str, key: str) -> None:
        self.db, self.appender, self.owner, self.key = db, appender, owner, key
        self.instance = Envelope(TENANT, AGENT, key, "", EnvelopeKind.REQUEST, {}).instance
        self.head = self.epoch = 0

    async def run(self, *, days_ago: float, ends: bool = True) -> str:
        letter = request(self.key)
        await accept(self.db, [letter])
        if not self.epoch:
            [lease], _ = await leases.take(self.db, self.owner, [letter.instance])
            self.epoch = lease.epoch
        entries: list[Entry] = [RunStarted(letter.run, input=None, at=1.0, seed="s", message_id=letter.message_id)]
        if ends:
            entries.append(RunCompleted(letter.run, output=1, state={"runs": self.head // 2 + 1}))
        status = RunStatus.COMPLETED if ends else RunStatus.RUNNING
        taken = await rows(self.db, "select seq from mailbox where message_id = %s", letter.message_id)
        change = RunChange(letter.run, status, started=True, ended=ends)
        append = Append(
            self.instance, TENANT, AGENT, self.owner, self.epoch, self.head, entries,
            taken=[seq for [seq] in taken], runs=[change],
        )  # fmt: skip
        await self.appender.append(append)
        self.head += len(entries)
        await self._age(letter, days_ago)
        return letter.run

    async def _age(self, letter: Envelope, days: float) -> None:
        ago = f"now() - interval '{days} days'"
        await rows(self.db, f"update runs set ended_at = {ago} where id = %s and ended_at is not null", letter.run)
        await rows(
            self.db,
            f"update mailbox set taken_at = {ago}, created_at = {ago} where message_id = %s",
            letter.message_id,
        )


@pytest.fixture
async def living(db: Database) -> AsyncIterator[Any]:
    appender = Appender(db)
    appender.start()
    owner = new_id()
    await workers.join(db, Heartbeat(worker=owner, kind="agents", host="here", pid=1, started_at=1.0))
    yield lambda key: Life(db, appender, owner, key)
    await appender.close()


_KEPT = """
select (select count(*) from runs where id = r) + 10 * (select count(*) from mailbox where run = r)
       + 100 * (select count(*) from journal where run = r)
from unnest(%s::uuid[]) with ordinality as u(r, n) order by n
"""


async def kept(db: Database, runs: Sequence[str]) -> list[int]:
    """What is left of each run: a one for its row, tens for its mail, hundreds for its entries."""
    return [row[0] for row in await rows(db, _KEPT, list(runs))]


async def test_what_is_old_goes_and_what_is_young_stays(db: Database, policy: Settings, living: Any) -> None:
    life = living("k")
    runs = [await life.run(days_ago=days) for days in (90, 60, 31, 29, 1)]
    await Retention(db, policy).look()
    assert await kept(db, runs) == [0, 0, 0, 211, 211]
    assert await rows(db, "select floor, version from snapshots") == [(6, 10)]
    assert (await instances.get(db, TENANT, AGENT, "k")).state == {"runs": 5}
    assert (await audit(db, TENANT)).violations == []
    await life.run(days_ago=0)
    assert (await instances.get(db, TENANT, AGENT, "k")).state == {"runs": 6}


async def test_while_a_run_is_open_nothing_behind_the_snapshot_goes(
    db: Database, policy: Settings, living: Any
) -> None:
    life, other = living("open"), living("still")
    old = await life.run(days_ago=90)
    under_way = await life.run(days_ago=90, ends=False)
    gone = await other.run(days_ago=90)
    await Retention(db, policy).look()
    assert await kept(db, [old, under_way, gone]) == [211, 111, 0]
    assert (await audit(db, TENANT)).violations == []


async def test_a_journal_that_cannot_be_shortened_is_read_once_in_a_look(
    db: Database, policy: Settings, living: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = living("lasting")
    await life.run(days_ago=60, ends=False)
    ended = [await life.run(days_ago=50 - place) for place in range(6)]
    read, asked = history.read, []

    async def counted(db: Database, wanted: Sequence[str]) -> Any:
        asked.extend(wanted)
        return await read(db, wanted)

    monkeypatch.setattr(history, "read", counted)
    monkeypatch.setattr("trunkline.supervisor.retention.PAGE", 2)
    await Retention(db, policy).look()
    assert asked == [life.instance]
    assert await kept(db, ended) == [211] * 6


async def test_a_run_that_began_before_a_kept_one_ended_keeps_its_entries_whole(
    db: Database, policy: Settings, living: Any
) -> None:
    """A journal goes from its beginning: what is old behind a younger run waits for that."""
    life = living("k")
    runs = [await life.run(days_ago=days) for days in (90, 1, 90)]
    await Retention(db, policy).look()
    assert await kept(db, runs) == [0, 211, 211]


async def test_long_journals_go_in_batches(db: Database, policy: Settings, living: Any) -> None:
    life = living("k")
    runs = [await life.run(days_ago=90) for _ in range(12)]
    sizes = []
    await retention.remember(db, runs)
    while removed := await retention.shorten(db, [life.instance], AGE, 5):
        sizes.append(removed)
        assert (await audit(db, TENANT)).violations == [], "wherever it stops"
    assert sizes == [5, 5, 5, 5, 4]
    assert await retention.forget_runs(db, runs) == 12


async def test_two_at_once_remove_it_once(db: Database, policy: Settings, living: Any) -> None:
    lives = [living(f"k{n}") for n in range(8)]
    runs = [await life.run(days_ago=90) for life in lives for _ in range(3)]
    await asyncio.gather(*(Retention(db, policy).look() for _ in range(3)))
    assert await kept(db, runs) == [0] * len(runs)
    assert [one[0] for one in await rows(db, "select floor from snapshots")] == [6] * 8
    assert (await audit(db, TENANT)).violations == []


async def test_a_key_is_remembered_as_long_as_its_run(db: Database, policy: Settings, living: Any) -> None:
    life = living("k")
    await life.run(days_ago=90, ends=False)
    [letter] = await rows(db, "select message_id, taken_at is not null from mailbox")
    await Retention(db, policy).look()
    assert await rows(db, "select message_id, taken_at is not null from mailbox") == [letter]


async def test_other_mail_goes_by_its_own_age(db: Database, policy: Settings, living: Any) -> None:
    life = living("k")
    run = await life.run(days_ago=1, ends=False)
    for name, ago in (("old", 90), ("young", 1), ("untaken", 90)):
        said = Envelope(TENANT, AGENT, "k", name, EnvelopeKind.SIGNAL, {"name": "go", "data": None}, run=run)
        await accept(db, [said])
        taken = "null" if name == "untaken" else f"now() - interval '{ago} days'"
        await rows(
            db,
            f"update mailbox set created_at = now() - interval '{ago} days', taken_at = {taken} where message_id = %s",
            name,
        )
    await rows(db, "update mailbox set created_at = now() - interval '99 days' where kind = 'request'")
    await Retention(db, policy).look()
    left = await rows(db, "select message_id from mailbox where kind = 'signal' order by seq")
    assert left == [("young",), ("untaken",)]


async def test_what_is_done_with_goes(db: Database, policy: Settings, living: Any) -> None:
    run = await living("k").run(days_ago=1, ends=False)
    for name, of in (("open", run), ("gone", new_id()), ("nobody's", None)):
        await payloads.put(db, TENANT, name, name, run=of)
    await rows(db, "update payloads set created_at = now() - interval '31 days'")
    await payloads.put(db, TENANT, "young", 1)
    for place, (closed, settled) in enumerate([("31 days", "31 days"), ("29 days", "29 days"), (None, None)]):
        await rows(
            db,
            "insert into approvals (id, tenant, instance, agent, key, run, step, name, digest, closed_at)"
            " values (%s, 'default', %s, 'a', 'k', %s, 's', 'n', 'd', now() - %s::interval)",
            new_id(), new_id(), new_id(), closed,
        )  # fmt: skip
        await rows(
            db,
            "insert into dead_letters (id, tenant, source, reason, created_at, settled_at)"
            " values (%s, 'default', 's', %s, now() - interval '90 days', now() - %s::interval)",
            new_id(), str(place), settled,
        )  # fmt: skip
    departed, holding = new_id(), new_id()
    for worker in (departed, holding):
        await workers.join(db, Heartbeat(worker=worker, kind="agents", host="here", pid=1, started_at=1.0))
        await rows(db, "update workers set left_at = now() - interval '31 days' where id = %s", worker)
    await rows(db, "update instances set owner = %s", holding)
    await Retention(db, policy).look()
    assert sorted(await rows(db, "select id from payloads")) == [("open",), ("young",)]
    assert await rows(db, "select count(*) from approvals") == [(2,)]
    assert sorted(await rows(db, "select reason from dead_letters")) == [("1",), ("2",)]
    assert departed not in {row[0] for row in await rows(db, "select id from workers")}
    assert holding in {row[0] for row in await rows(db, "select id from workers")}


async def test_a_departed_worker_stays_as_long_as_its_replies_are_read(db: Database, quick: Settings) -> None:
    worker = new_id()
    await workers.join(db, Heartbeat(worker=worker, kind="agents", host="here", pid=1, started_at=1.0))
    await rows(db, "update workers set left_at = now() - interval '100 minutes'")
    at_once = quick.model_copy(update={"retention_days": 1e-9})
    await Retention(db, at_once).look()
    assert await rows(db, "select count(*) from workers") == [(1,)]
    await rows(db, "update workers set left_at = now() - interval '3 hours'")
    await Retention(db, at_once).look()
    assert await rows(db, "select count(*) from workers") == [(0,)]


async def test_the_runs_of_erased_instances_go_at_their_age_and_tombstones_stay(
    db: Database, policy: Settings, living: Any
) -> None:
    old, young = await living("k").run(days_ago=90), await living("y").run(days_ago=1)
    unread = request("u")
    await accept(db, [unread])
    for key in ("k", "y", "u"):
        await erasure.erase(db, TENANT, AGENT, key)
    await rows(db, "update runs set ended_at = now() - interval '31 days' where id = %s", unread.run)
    await Retention(db, policy).look()
    assert await kept(db, [old, unread.run, young]) == [0, 0, 1]
    assert await rows(db, "select count(*) from tombstones") == [(3,)]
    assert (await audit(db, TENANT)).violations == []


async def test_what_an_erasure_left_is_deleted_without_a_policy(
    db: Database, quick: Settings, living: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = living("k")
    for _ in range(4):
        await life.run(days_ago=1)
    monkeypatch.setattr(erasure, "BATCH", 3)
    monkeypatch.setattr(erasure, "PATIENCE", 0.0)
    assert not (await erasure.erase(db, TENANT, AGENT, "k")).purged
    assert await rows(db, "select count(*) from journal") == [(5,)]
    await Retention(db, quick).purge()
    assert await rows(db, "select count(*) from journal") == [(0,)]
    assert await rows(db, "select purged_at is not null from tombstones") == [(True,)]


async def test_what_cannot_be_read_is_kept(db: Database, policy: Settings, living: Any) -> None:
    life, sound = living("broken"), living("sound")
    broken, fine = await life.run(days_ago=90), await sound.run(days_ago=90)
    await rows(db, "update instances set head = 5 where id = %s", life.instance)
    await Retention(db, policy).look()
    assert await kept(db, [broken, fine]) == [211, 0]


async def test_a_damaged_snapshot_is_written_anew_before_anything_goes(
    db: Database, policy: Settings, living: Any
) -> None:
    life = living("k")
    run = await life.run(days_ago=90)
    await rows(db, "insert into snapshots (instance, version, body) values (%s, 2, '{}')", life.instance)
    await Retention(db, policy).look()
    assert await kept(db, [run]) == [0]
    found = (await history.read(db, [life.instance]))[life.instance]
    assert isinstance(found, history.History)
    assert found.fold().state == {"runs": 1}


@pytest.mark.parametrize("version", [2, 9])
async def test_below_a_damaged_snapshot_nothing_goes(db: Database, policy: Settings, living: Any, version: int) -> None:
    """What is below it may be all that the instance can be rebuilt from."""
    life = living("k")
    runs = [await life.run(days_ago=90), await life.run(days_ago=90, ends=False)]
    await rows(db, "insert into snapshots (instance, version, body) values (%s, %s, '{}')", life.instance, version)
    await Retention(db, policy).look()
    assert await kept(db, runs) == [211, 111]


async def test_without_a_policy_nothing_goes(db: Database, quick: Settings, living: Any) -> None:
    run = await living("k").run(days_ago=9000)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(Retention(db, quick).run(), 0.2)
    assert await kept(db, [run]) == [211]


async def test_the_duty_looks_again_and_again(db: Database, policy: Settings, living: Any, eventually: Any) -> None:
    duty = asyncio.create_task(Retention(db, policy).run())
    try:
        for n in range(2):
            run = await living(f"k{n}").run(days_ago=90)
            await eventually(lambda run=run: _gone(db, run))
    finally:
        duty.cancel()
        await asyncio.gather(duty, return_exceptions=True)


async def _gone(db: Database, run: str) -> bool:
    return await kept(db, [run]) == [0]


async def test_whoever_may_not_is_told_how(db: Database, quick: Settings, living: Any) -> None:
    life = living("k")
    await retention.remember(db, [await life.run(days_ago=90)])
    stranger = f"s{new_id()[-8:]}"
    await rows(
        db,
        f"create role {stranger} login; grant usage on schema {db.schema} to {stranger};"
        f"grant select, update on all tables in schema {db.schema} to {stranger}",
    )
    url = psycopg.conninfo.make_conninfo(quick.database_url.get_secret_value(), user=stranger)
    theirs = await Database.open(url, schema=db.schema)
    try:
        with pytest.raises(RetentionRefused, match="grant trunkline_retention"):
            await retention.shorten(theirs, [life.instance], AGE, 10)
    finally:
        await theirs.close()
        await rows(db, f"drop owned by {stranger} cascade; drop role {stranger}")


async def test_who_stands_in_the_way_is_waited_for_a_moment(db: Database, living: Any) -> None:
    life = living("k")
    run = await life.run(days_ago=90)
    await retention.remember(db, [run])
    async with db.connection() as connection, connection.transaction():
        await connection.execute("select from snapshots for update")
        with pytest.raises(TookTooLong):
            await retention.shorten(db, [life.instance], AGE, 10)
    assert await retention.shorten(db, [life.instance], AGE, 10) == 2
