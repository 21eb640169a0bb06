"""Erasing an instance leaves a tombstone and nothing else, whatever happens to it at that moment."""

from __future__ import annotations

import asyncio
from typing import Any

import making
import psycopg
import pytest

from trunkline.domain.errors import ErasureRefused, Fenced, UnknownInstance
from trunkline.domain.ids import child_run_id, new_id
from trunkline.domain.journal import RunCompleted, StepScheduled
from trunkline.domain.mail import Envelope
from trunkline.domain.snapshot import Snapshot
from trunkline.domain.status import EnvelopeKind, RunStatus
from trunkline.domain.work import Outcome
from trunkline.store import dead_letters, erasure, history, instances, leases, mailbox, payloads, runs
from trunkline.store.accept import accept
from trunkline.store.append import Appender, ApprovalAsked, DeadLetter, RunChange, SnapshotMade, TimerSet
from trunkline.store.audit import audit
from trunkline.store.database import Database
from trunkline.store.leases import Lease
from trunkline.store.replies import post_outcomes

SECRET = "their-secret"


@pytest.fixture
async def lived(db: Database, appender: Appender) -> tuple[str, Lease, Envelope]:
    """An instance that has left something in every table: one run has ended, one is open."""
    owner = await making.worker(db)
    ended, still = (
        making.envelope(f"key {SECRET}", body={"input": SECRET, "handler": "", "parent": None}) for _ in range(2)
    )
    await accept(db, [ended, still, making.signal(still)])
    [lease], _ = await leases.take(db, owner, [still.instance])
    said = [{"role": "user", "content": SECRET}]
    done = [making.started(ended.run), RunCompleted(ended.run, output=SECRET, state={"x": SECRET}, conversation=said)]
    body = Snapshot(2, {"x": SECRET}, said).encode(lease.instance)
    change = RunChange(ended.run, RunStatus.COMPLETED, output=SECRET, started=True, ended=True)
    await appender.append(making.append(lease, owner, done, runs=[change], snapshot=SnapshotMade(2, body)))
    open_run = making.append(
        lease,
        owner,
        [making.started(still.run), making.completed(still.run, SECRET)],
        after=2,
        runs=[RunChange(still.run, RunStatus.WAITING, started=True)],
        timers=[TimerSet(still.run, "sleep#1", 60)],
        approvals=[ApprovalAsked(new_id(), lease.key, still.run, "wait#1", "buy", SECRET, "d")],
        dead=[
            DeadLetter(making.TENANT, "mailbox", "x", subject=f"orders/{lease.key}"),
            DeadLetter(making.TENANT, "outcome", "x", body={"run": still.run, "value": SECRET}),
            DeadLetter(making.TENANT, "event", "of somebody else", body="text"),
        ],
    )
    await appender.append(open_run)
    await payloads.put(db, making.TENANT, "p", SECRET, run=still.run)
    await payloads.put(db, making.TENANT, "q", "other", run=new_id())
    return owner, lease, still


async def whole_database(db: Database) -> str:
    tables = await making.rows(
        db, "select relname::text from pg_class where relnamespace = %s::regnamespace and relkind in ('r', 'p')",
        f'"{db.schema}"',
    )  # fmt: skip
    texts = [await making.rows(db, f'select t::text from "{name}" t') for [name] in tables]
    return "\n".join(row[0] for found in texts for row in found)


def key_of(letter: Envelope) -> tuple[str, str, str]:
    return making.TENANT, making.AGENT, letter.key


async def test_nothing_of_it_is_left_but_ids_and_times(db: Database, lived: Any) -> None:
    _, lease, still = lived
    assert (await whole_database(db)).count(SECRET) > 10
    erased = await erasure.erase(db, *key_of(still))
    assert SECRET not in await whole_database(db)
    assert (erased.instance, erased.purged, erased.owner) == (lease.instance, True, lived[0])
    assert await making.rows(db, "select instance::text, epoch, version from tombstones") == [(lease.instance, 2, 4)]
    assert await making.value(db, "select count(*) from journal") == 0
    assert await making.rows(db, "select id from payloads") == [("q",)]
    assert [one.source for one in (await dead_letters.list_dead_letters(db, making.TENANT))[0]] == ["event"]
    for table in ("mailbox", "timers", "approvals", "instances"):
        assert await making.value(db, f"select count(*) from {table}") == 0, table
    found = await runs.get(db, making.TENANT, still.run)
    assert (found.status, found.error, found.input, found.ended_at is not None) == ("failed", runs.ERASED, None, True)
    with pytest.raises(UnknownInstance):
        await instances.get(db, *key_of(still))
    assert (await audit(db, making.TENANT)).violations == []


async def test_its_owner_is_fenced_and_the_next_instance_begins_above_it(
    db: Database, appender: Appender, lived: Any
) -> None:
    owner, lease, still = lived
    await erasure.erase(db, *key_of(still))
    with pytest.raises(Fenced):
        await appender.append(making.append(lease, owner, [making.completed(still.run)], after=4))
    fresh = making.envelope(still.key)
    await accept(db, [fresh])
    [again], _ = await leases.take(db, owner, [lease.instance])
    assert (again.head, again.epoch) == (4, 3)
    with pytest.raises(Fenced):
        await appender.append(making.append(lease, owner, [making.completed(still.run)], after=4))
    past = (await history.read(db, [lease.instance]))[lease.instance]
    assert isinstance(past, history.History)
    assert (past.fold().state, past.fold().conversation, past.rows) == (None, [], [])
    change = RunChange(fresh.run, RunStatus.RUNNING, started=True)
    await appender.append(making.append(again, owner, [making.started(fresh.run)], runs=[change]))
    assert (await instances.get(db, *key_of(still))).instance.head == 5
    assert (await audit(db, making.TENANT)).violations == []


async def test_a_late_outcome_is_nobodys(db: Database, lived: Any) -> None:
    owner, lease, still = lived
    late = Outcome(
        tenant=making.TENANT, instance=lease.instance, agent=making.AGENT, run=still.run, step="tool:t#1", attempt=1
    )
    assert len(await post_outcomes(db, [late.model_copy(update={"step": "tool:t#2"})])) == 1
    await erasure.erase(db, *key_of(still))
    assert await post_outcomes(db, [late]) == []
    await accept(db, [making.envelope(still.key)])
    await leases.take(db, owner, [lease.instance])
    assert await post_outcomes(db, [late]) == [], "nor that of the fresh one"


async def test_erased_twice_is_erased_once_and_a_fresh_one_is_erased_anew(db: Database, lived: Any) -> None:
    owner, lease, still = lived
    first = await erasure.erase(db, *key_of(still))
    assert (await erasure.erase(db, *key_of(still))).erased_at == first.erased_at
    for epochs in ([2, 3], [2, 3, 5]):
        await accept(db, [making.envelope(still.key)])
        if len(epochs) == 3:
            await leases.take(db, owner, [lease.instance])
        await erasure.erase(db, *key_of(still))
        assert [row[0] for row in await making.rows(db, "select epoch from tombstones order by epoch")] == epochs
    assert await making.rows(db, "select distinct version from tombstones") == [(4,)]


async def test_an_unknown_one_is_named(db: Database) -> None:
    with pytest.raises(UnknownInstance):
        await erasure.erase(db, making.TENANT, making.AGENT, "nobody")
    assert await making.value(db, "select count(*) from tombstones") == 0


async def test_one_that_was_never_taken_up_is_erased_with_its_mail(db: Database) -> None:
    letter = making.envelope()
    await accept(db, [letter])
    assert (await erasure.erase(db, *key_of(letter))).purged
    assert (await runs.get(db, making.TENANT, letter.run)).error == runs.ERASED
    assert await making.value(db, "select count(*) from mailbox") == 0


async def test_who_waits_is_told_and_who_nobody_waits_for_is_asked_to_end(db: Database, appender: Appender) -> None:
    owner, [(lease, parent)] = await making.owned(db)
    asks = StepScheduled(parent.run, "agent:b#1", "agent", "b", options={"agent": "b", "key": "own", "private": True})
    shared = StepScheduled(parent.run, "agent:b#2", "agent", "b", options={"agent": "b", "key": "k", "private": False})
    answered = StepScheduled(parent.run, "agent:b#3", "agent", "b", options={"agent": "b", "key": "c", "private": True})
    origin = {
        "tenant": making.TENANT, "agent": "top", "key": "t", "instance": making.envelope("t").instance,
        "run": new_id(), "step": "agent:orders#1", "path": [],
    }  # fmt: skip
    child = making.envelope(lease.key, body={"input": 1, "handler": "", "parent": origin})
    mail = [
        Envelope(
            making.TENANT, "b", str(step.options["key"]), f"ask:{step.key}", EnvelopeKind.REQUEST, {"input": 1},
            run=child_run_id(parent.run, step.key),
        )
        for step in (asks, shared, answered)
    ]  # fmt: skip
    await accept(db, [child])
    outcome = making.completed(parent.run)
    entries = [
        making.started(parent.run),
        asks,
        shared,
        answered,
        type(outcome)(parent.run, key=answered.key, value=1, at=1.0),
    ]
    await appender.append(
        making.append(lease, owner, entries, mail=mail, runs=[RunChange(parent.run, RunStatus.RUNNING, started=True)])
    )
    erased = await erasure.erase(db, *key_of(parent))
    told, cancelled = erased.letters
    assert (told.agent, told.key, told.kind, told.run) == ("top", "t", EnvelopeKind.REPLY, origin["run"])
    assert told.body["error"] == runs.ERASED
    assert (cancelled.kind, cancelled.run) == (EnvelopeKind.CANCEL, mail[0].run)
    for letter in erased.letters:
        found = (await mailbox.pending(db, [letter.instance]))[letter.instance]
        assert found[-1].kind is letter.kind


async def test_a_child_that_has_ended_is_not_asked_to(db: Database, appender: Appender) -> None:
    owner, [(lease, parent)] = await making.owned(db)
    asks = StepScheduled(parent.run, "agent:b#1", "agent", "b", options={"agent": "b", "key": "own", "private": True})
    child = Envelope(
        making.TENANT, "b", "own", "ask", EnvelopeKind.REQUEST, {"input": 1}, run=child_run_id(parent.run, asks.key)
    )
    change = RunChange(parent.run, RunStatus.RUNNING, started=True)
    await appender.append(making.append(lease, owner, [making.started(parent.run), asks], mail=[child], runs=[change]))
    await making.rows(db, "update runs set ended_at = now(), status = 'completed' where id = %s", child.run)
    assert (await erasure.erase(db, *key_of(parent))).letters == ()


async def test_against_appends_and_new_requests_nothing_is_half_erased(db: Database, appender: Appender) -> None:
    """A live owner appends as fast as it can, requests come in, and the instance is erased again and again."""
    owner = await making.worker(db)
    key, came, done = new_id(), asyncio.Event(), asyncio.Event()

    async def lives() -> None:
        while not done.is_set():
            letter = making.envelope(key)
            await accept(db, [letter])
            came.set()
            for lease in (await leases.take(db, owner, [letter.instance]))[0]:
                pending = (await mailbox.pending(db, [letter.instance])).get(letter.instance, [])
                head = lease.head
                for mail in pending:
                    change = RunChange(mail.run, RunStatus.COMPLETED, output=1, started=True, ended=True)
                    entries = [making.started(mail.run), RunCompleted(mail.run, output=1, state={"n": 1})]
                    try:
                        await appender.append(
                            making.append(lease, owner, entries, after=head, taken=[mail.seq], runs=[change])
                        )
                    except Fenced:
                        break
                    head += 2

    living = [asyncio.create_task(lives()) for _ in range(3)]
    erased: set[float] = set()
    while len(erased) < 10 and not any(task.done() for task in living):
        await came.wait()
        erased.add((await erasure.erase(db, making.TENANT, making.AGENT, key)).erased_at)
    done.set()
    await asyncio.gather(*living)
    assert (await audit(db, making.TENANT)).violations == []
    epochs = [row[0] for row in await making.rows(db, "select epoch from tombstones order by epoch")]
    assert len(set(epochs)) == len(epochs) == 10
    open_runs = await making.rows(
        db, "select r.id from runs r where r.ended_at is null and not exists (select from mailbox m where m.run = r.id)"
    )
    assert open_runs == [], "each was erased with its mail, or neither was"


async def test_a_long_journal_goes_in_batches_that_nobody_sees(
    db: Database, appender: Appender, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, [(lease, letter)] = await making.owned(db)
    entries = [making.started(letter.run), *(making.completed(letter.run, n) for n in range(24))]
    change = RunChange(letter.run, RunStatus.RUNNING, started=True)
    await appender.append(making.append(lease, owner, entries, runs=[change]))
    monkeypatch.setattr(erasure, "BATCH", 10)
    monkeypatch.setattr(erasure, "PATIENCE", 0.0)
    assert not (await erasure.erase(db, *key_of(letter))).purged
    assert await making.value(db, "select count(*) from journal") == 15
    fresh = making.envelope(letter.key)
    await accept(db, [fresh])
    [again], _ = await leases.take(db, owner, [lease.instance])
    change = RunChange(fresh.run, RunStatus.RUNNING, started=True)
    await appender.append(making.append(again, owner, [making.started(fresh.run)], runs=[change]))
    assert (await audit(db, making.TENANT)).violations == []
    assert [await erasure.purge(db, 10) for _ in range(3)] == [True, True, False]
    assert await making.rows(db, "select version from journal") == [(26,)]
    assert await making.value(db, "select purged_at is not null from tombstones")


async def deleting(db: Database, flag: str, version: int) -> None:
    async with db.connection() as connection, connection.transaction():
        await connection.execute(f"set local trunkline.erasure = '{flag}'")
        await connection.execute("delete from journal where version = %s", [version])


async def test_the_journal_of_the_living_cannot_be_deleted_this_way(db: Database, lived: Any) -> None:
    _, lease, _ = lived
    with pytest.raises(psycopg.errors.RestrictViolation):
        await deleting(db, "on", 1)
    await making.rows(
        db, "insert into tombstones (tenant, instance, epoch, version) values ('default', %s, 1, 3)", lease.instance
    )
    for flag, version in (("off", 1), ("on", 4)):
        with pytest.raises(psycopg.errors.RestrictViolation):
            await deleting(db, flag, version)
    await deleting(db, "on", 3)
    assert await making.value(db, "select count(*) from journal") == 3


async def test_who_may_not_erases_nothing(db: Database, url: str, lived: Any) -> None:
    _, _, still = lived
    stranger = f"s{new_id()[-8:]}"
    await making.rows(
        db,
        f"create role {stranger} login; grant usage on schema {db.schema} to {stranger};"
        f"grant select, insert, update on all tables in schema {db.schema} to {stranger}",
    )
    theirs = await Database.open(psycopg.conninfo.make_conninfo(url, user=stranger), schema=db.schema)
    try:
        with pytest.raises(ErasureRefused, match="grant trunkline_erasure"):
            await erasure.erase(theirs, *key_of(still))
    finally:
        await theirs.close()
        await making.rows(db, f"drop owned by {stranger} cascade; drop role {stranger}")
    assert (await instances.get(db, *key_of(still))).state == {"x": SECRET}
