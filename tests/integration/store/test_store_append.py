"""The appender's rules: the fence, the chain, bisection, and that each append stands or falls alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import making
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.adapt import PyFormat

from trunkline.domain.errors import AppendRefused, Fenced, NotJson, Unavailable
from trunkline.domain.ids import child_run_id, new_id
from trunkline.domain.journal import Entry
from trunkline.domain.mail import Envelope
from trunkline.domain.status import EnvelopeKind, RunStatus
from trunkline.observe import metrics
from trunkline.store import group, journal, leases, mailbox, runs, sql
from trunkline.store.append import Append, Appender, DeadLetter, RunChange, TimerSet
from trunkline.store.database import Database
from trunkline.store.leases import Lease
from trunkline.store.statement import SESSION

Appending = Callable[..., Appender]
Opened = Callable[..., Awaitable[Database]]


async def outcomes(futures: list[asyncio.Future[None]]) -> list[BaseException | None]:
    return await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), 30)


async def seq_of(db: Database, letter: Envelope) -> int:
    seq: int = await making.value(db, "select seq from mailbox where message_id = %s", letter.message_id)
    return seq


async def full(db: Database, lease: Lease, owner: str, letter: Envelope, **fields: Any) -> Append:
    """An append that writes something into every table."""
    entries = [making.started(letter.run), making.completed(letter.run)]
    return making.append(
        lease,
        owner,
        entries,
        taken=[await seq_of(db, letter)],
        mail=[making.envelope(message_id=f"ask:{letter.run}", run=child_run_id(letter.run, "ask"))],
        runs=[RunChange(letter.run, RunStatus.RUNNING, started=True)],
        timers=[TimerSet(letter.run, "sleep#1", 60)],
        dead=[DeadLetter(making.TENANT, "signal", "nobody waited", body={"n": 1})],
        **fields,
    )


async def test_everything_of_an_append_becomes_true_together(db: Database, appender: Appender) -> None:
    owner, [(lease, letter)] = await making.owned(db)
    await appender.append(await full(db, lease, owner, letter))
    assert await making.everything(db) == {
        "journal": 2, "mailbox": 2, "runs": 2, "timers": 1, "dead_letters": 1, "taken": 1
    }  # fmt: skip
    assert await making.value(db, "select head from instances") == 2
    assert await mailbox.pending(db, [lease.instance]) == {lease.instance: []}
    child = await runs.get(db, making.TENANT, child_run_id(letter.run, "ask"))
    assert (child.status, child.input) == (RunStatus.ACCEPTED, {"n": 1})
    assert (await runs.get(db, making.TENANT, letter.run)).status is RunStatus.RUNNING


@pytest.mark.parametrize("wrong", [{"epoch": 2}, {"epoch": 0}, {"after": 1}, {"owner": "somebody"}])
async def test_a_wrong_fence_is_refused_and_its_neighbours_commit(
    db: Database, wrong: dict[str, Any], appending: Appending
) -> None:
    owner, held = await making.owned(db, 3)
    appender = appending(db)
    futures = []
    for place, (lease, letter) in enumerate(held):
        fields = {"owner": owner} | (wrong if place == 1 else {})
        futures.append(making.submitted(appender, await full(db, lease, fields.pop("owner"), letter, **fields)))
    appender.start()
    first, refused, last = await outcomes(futures)
    assert appender.stats.groups == 1, "all three were in one statement"
    assert (first, last) == (None, None)
    assert isinstance(refused, Fenced)
    assert await making.everything(db) == {
        "journal": 4, "mailbox": 5, "runs": 5, "timers": 2, "dead_letters": 2, "taken": 2
    }  # fmt: skip
    assert await making.value(db, "select head from instances where id = %s", held[1][0].instance) == 0


async def test_a_lost_lease_is_refused(db: Database, appender: Appender) -> None:
    owner, [(lease, letter)] = await making.owned(db)
    await appender.append(making.append(lease, owner, [making.started(letter.run)]))
    await leases.release(db, owner, [(lease.instance, lease.epoch)])
    with pytest.raises(Fenced):
        await appender.append(making.append(lease, owner, [making.completed(letter.run)], after=1))
    [[again], _] = await leases.take(db, owner, [lease.instance])
    with pytest.raises(Fenced):
        await appender.append(making.append(lease, owner, [making.completed(letter.run)], after=1))
    await appender.append(making.append(again, owner, [making.completed(letter.run)]))


async def test_a_chain_is_one_fence_and_the_newest_wins(db: Database, appending: Appending) -> None:
    owner, [(lease, letter)] = await making.owned(db)
    run, appender = letter.run, appending(db)
    steps = [
        making.append(
            lease, owner, [making.started(run)],
            runs=[RunChange(run, RunStatus.RUNNING, started=True, definition=4, code="abc")],
            timers=[TimerSet(run, "a", 60), TimerSet(run, "b", 60)],
        ),
        making.append(
            lease, owner, [making.completed(run)], after=1,
            runs=[RunChange(run, RunStatus.PARKED, parked_reason="diverged", next_actions=["cancel"])],
            timers=[TimerSet(run, "c", 60)], timers_done=[(run, "a")],
        ),
        making.append(
            lease, owner, [making.completed(run), making.completed(run)], after=2,
            runs=[RunChange(run, RunStatus.COMPLETED, output=0, usage={"t": 1}, cost_usd=1e-9, ended=True)],
            timers_done=[(run, "c")],
        ),
    ]  # fmt: skip
    futures = [making.submitted(appender, step) for step in steps]
    appender.start()
    assert await outcomes(futures) == [None, None, None]
    assert appender.stats.groups == 1
    row = await runs.get(db, making.TENANT, run)
    assert (row.status, row.output, row.definition, row.code) == (RunStatus.COMPLETED, 0, 4, "abc")
    assert (row.parked_reason, row.next_actions, row.cost_usd) == ("", [], 1e-9)
    assert row.started_at is not None
    assert row.ended_at is not None
    assert await making.rows(db, "select step from timers") == [("b",)]
    assert await making.rows(db, "select version from journal order by 1") == [(1,), (2,), (3,), (4,)]


async def test_what_stands_on_a_refused_append_is_refused(db: Database, appender: Appender) -> None:
    owner, [(lease, letter), (other, others)] = await making.owned(db, 2)
    bad = making.append(lease, owner, [], runs=[RunChange(letter.run, "bogus")])  # type: ignore[arg-type]
    futures = [
        making.submitted(appender, bad),
        making.submitted(
            appender, making.append(lease, owner, [making.started(letter.run)])
        ),  # would pass the fence by itself
        making.submitted(appender, making.append(lease, owner, [making.completed(letter.run)], after=1)),
        making.submitted(appender, making.append(other, owner, [making.started(others.run)])),
    ]
    first, second, third, neighbour = await outcomes(futures)
    assert isinstance(first, AppendRefused)
    assert isinstance(second, Fenced)
    assert isinstance(third, Fenced)
    assert neighbour is None
    assert await making.rows(db, "select instance::text from journal") == [(other.instance,)]


async def test_one_that_does_not_follow_waits_for_the_next_commit(db: Database, appending: Appending) -> None:
    owner, [(lease, letter)] = await making.owned(db)
    appender = appending(db)
    futures = [
        making.submitted(appender, making.append(lease, owner, [making.started(letter.run)])),
        making.submitted(appender, making.append(lease, owner, [making.completed(letter.run)], after=5)),
    ]
    appender.start()
    first, second = await outcomes(futures)
    assert first is None
    assert isinstance(second, Fenced)
    await appender.append(making.append(lease, owner, [making.completed(letter.run)], after=1))


async def test_asks_and_replies_may_be_repeated(db: Database, appender: Appender) -> None:
    owner, [(lease, letter)] = await making.owned(db)
    ask = making.envelope("child", message_id="ask:1", run=child_run_id(letter.run, "ask"))
    reply = making.envelope("parent", kind=EnvelopeKind.REPLY, message_id="reply:1", run=letter.run)
    for head in range(3):
        await appender.append(
            making.append(lease, owner, [making.completed(letter.run)], after=head, mail=[ask, reply, ask])
        )
    assert await making.value(db, "select count(*) from mailbox where message_id in ('ask:1', 'reply:1')") == 2
    assert await making.value(db, "select count(*) from runs where id = %s", ask.run) == 1


async def test_a_timer_is_set_by_the_databases_clock_and_moved_by_setting_it_again(
    db: Database, appender: Appender
) -> None:
    owner, [(lease, letter)] = await making.owned(db)
    due = "select round(extract(epoch from due_at - now()))::int from timers"
    for head, delay in enumerate((100.0, 200.0)):
        entries = [making.completed(letter.run)]
        timers = [TimerSet(letter.run, "sleep#1", delay)]
        await appender.append(making.append(lease, owner, entries, after=head, timers=timers))
        assert abs(await making.value(db, due) - delay) <= 5


async def test_progress_forgets_takeovers_unless_told_not_to(db: Database, appender: Appender) -> None:
    owner, [(lease, letter)] = await making.owned(db)
    await making.rows(db, "update instances set takeovers = 2, progress_at = 'epoch'")
    await appender.append(making.append(lease, owner, [making.started(letter.run)], progress=False))
    look = "select takeovers, progress_at = 'epoch' from instances"
    assert await making.rows(db, look) == [(2, True)]
    await appender.append(making.append(lease, owner, [making.completed(letter.run)], after=1))
    assert await making.rows(db, look) == [(0, False)]


# --- data that Postgres will not take -------------------------------------------------------------------------------


class Unchecked(bytes):
    """A JSON text that no codec made."""


POISONS = {
    "a status that the table's check refuses": {"runs": lambda run: [RunChange(run, "bogus")]},
    "NUL in a text": {"timers": lambda run: [TimerSet(run, "a\x00b", 1)]},
    "a lone surrogate in a text": {"timers": lambda run: [TimerSet(run, "a\ud800b", 1)]},
    "a run that is no id": {"runs": lambda run: [RunChange("run 7", RunStatus.RUNNING)]},
    "a delay beyond all time": {"timers": lambda run: [TimerSet(run, "a", 1e300)]},
    "a message id too long for its index": {
        "mail": lambda run: [making.envelope(message_id="".join(new_id() for _ in range(500)))]
    },
    "no delay": {"timers": lambda run: [TimerSet(run, "a", "soon")]},
}


@pytest.mark.parametrize("poison", POISONS.values(), ids=list(POISONS))
async def test_poison_fails_its_caller_alone(db: Database, poison: dict[str, Any], appending: Appending) -> None:
    owner, held = await making.owned(db, 7)
    appender = appending(db)
    futures = []
    for place, (lease, letter) in enumerate(held):
        fields = {name: make(letter.run) for name, make in poison.items()} if place == 3 else {}
        futures.append(making.submitted(appender, making.append(lease, owner, [making.started(letter.run)], **fields)))
    appender.start()
    results = await outcomes(futures)
    assert isinstance(results[3], AppendRefused), results[3]
    assert [result for place, result in enumerate(results) if place != 3] == [None] * 6
    assert await making.value(db, "select count(*) from journal") == 6
    assert await making.value(db, "select count(*) from journal where instance = %s", held[3][0].instance) == 0


@pytest.mark.parametrize("text", [b'{"a":', b'{"a": "\\ud800"}', b"\xff", b'"a"\x00'])
async def test_json_that_bypassed_the_codec_fails_its_caller_alone(
    db: Database, monkeypatch: pytest.MonkeyPatch, text: bytes, appending: Appending
) -> None:
    owner, held = await making.owned(db, 5)
    poisoned = making.completed(held[2][1].run)
    dumps = group.dumps
    monkeypatch.setattr(group, "dumps", lambda body, **what: text if body == poisoned.body() else dumps(body, **what))
    appender = appending(db)
    futures = [
        making.submitted(
            appender, making.append(lease, owner, [poisoned if place == 2 else making.started(letter.run)])
        )
        for place, (lease, letter) in enumerate(held)
    ]
    appender.start()
    results = await outcomes(futures)
    if text != b'{"a": "\\ud800"}':  # Postgres's json takes the escape as it stands; the codec does not
        assert isinstance(results.pop(2), AppendRefused)
    assert set(results) == {None}


async def test_what_cannot_be_encoded_never_reaches_a_group(db: Database, appender: Appender) -> None:
    owner, held = await making.owned(db, 2)
    [(bad, letter), (good, others)] = held
    refused = making.submitted(appender, making.append(bad, owner, [making.completed(letter.run, float("nan"))]))
    fine = making.submitted(appender, making.append(good, owner, [making.started(others.run)]))
    results = await outcomes([refused, fine])
    assert isinstance(results[0], NotJson)
    assert results[1] is None


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(poisoned=st.sets(st.integers(0, 19)), stale=st.sets(st.integers(0, 19)))
async def test_any_mixture_settles_each_alone(
    db: Database, poisoned: set[int], stale: set[int], appending: Appending
) -> None:
    owner, held = await making.owned(db, 20)
    appender = appending(db)
    futures = []
    for place, (lease, letter) in enumerate(held):
        timers = [TimerSet(letter.run, "\x00", 1)] if place in poisoned else []
        epoch = lease.epoch + (place in stale)
        futures.append(
            making.submitted(
                appender, making.append(lease, owner, [making.started(letter.run)], timers=timers, epoch=epoch)
            )
        )
    appender.start()
    results = await outcomes(futures)
    for place, (lease, _) in enumerate(held):
        expected = AppendRefused if place in poisoned else Fenced if place in stale else type(None)
        assert isinstance(results[place], expected)
        head = await making.value(db, "select head from instances where id = %s", lease.instance)
        assert head == (expected is type(None))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plan=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 3), st.sampled_from([0, 0, 0, 0, 1, -1])), min_size=1, max_size=25
    ),
    batch=st.integers(1, 6),
)
async def test_the_journal_is_what_a_plain_list_would_be(
    db: Database, plan: list[tuple[int, int, int]], batch: int, appending: Appending
) -> None:
    """Appends of three instances, some at a wrong head, in groups of any size: as if one came after the other."""
    owner, held = await making.owned(db, 3)
    appender = appending(db, max_batch=batch)
    model: list[list[Entry]] = [[], [], []]
    refused = [False] * 3
    futures, expected = [], []
    for which, count, slip in plan:
        lease, letter = held[which]
        entries = [making.completed(letter.run) for _ in range(count)]
        futures.append(making.submitted(appender, making.append(lease, owner, entries, after=len(model[which]) + slip)))
        refused[which] = refused[which] or slip != 0
        expected.append(refused[which])
        if not refused[which]:
            model[which].extend(entries)
    appender.start()
    results = await outcomes(futures)
    assert [isinstance(result, Fenced) for result in results] == expected
    found = await journal.read(db, [lease.instance for lease, _ in held])
    for (lease, _), entries in zip(held, model, strict=True):
        kept = found[lease.instance]
        assert isinstance(kept, journal.Journal)
        assert [row.entry for row in kept.rows] == entries


# --- the appender itself --------------------------------------------------------------------------------------------


async def test_a_deadlock_is_tried_again(
    db: Database, url: str, appending: Appending, opened: Opened, eventually: Callable[..., Awaitable[Any]]
) -> None:
    quick = await opened(f"{url}&options=-c%20deadlock_timeout%3D50ms", schema=db.schema)
    owner, [(first, letter), (second, others)] = await making.owned(quick, 2)
    appender = appending(quick)
    lock = "select 1 from instances where id = %s for update"
    waiting = (
        "select count(*) > 0 from pg_stat_activity where wait_event_type = 'Lock' and query like 'with%passed as%'"
    )
    futures = [
        making.submitted(appender, making.append(lease, owner, [making.started(each.run)]))
        for lease, each in ((first, letter), (second, others))
    ]
    async with db.connection() as rival:
        await rival.execute("set deadlock_timeout = '60s'")  # the appender is the one to find out, and to fall
        async with rival.transaction():
            await rival.execute(lock, [second.instance])
            appender.start()
            await eventually(lambda: making.value(quick, waiting))
            await rival.execute(lock, [first.instance])
        await rival.execute("reset deadlock_timeout")
    assert await outcomes(futures) == [None, None]
    assert appender.stats.retries >= 1
    assert await making.value(db, "select count(*) from journal") == 2


async def test_a_commit_takes_all_that_gathered(db: Database, appending: Appending) -> None:
    owner, held = await making.owned(db, 50)
    appender = appending(db, max_batch=20)
    measured = metrics.REGISTRY.get_sample_value
    before = measured("trunkline_commit_entries_sum") or 0.0
    futures = [
        making.submitted(appender, making.append(lease, owner, [making.started(letter.run)] * 2))
        for lease, letter in held
    ]
    assert appender.stats.waiting == 50
    appender.start()
    assert set(await outcomes(futures)) == {None}
    stats = appender.stats
    assert (stats.groups, stats.appends, stats.entries, stats.waiting) == (3, 50, 100, 0)
    assert measured("trunkline_commit_entries_sum") == before + 100


async def test_closing_commits_what_was_submitted_and_takes_no_more(db: Database, appending: Appending) -> None:
    owner, [(lease, letter)] = await making.owned(db)
    appender = appending(db)
    appender.start()
    before = making.submitted(appender, making.append(lease, owner, [making.started(letter.run)]))
    await appender.close()
    assert before.done()
    assert before.exception() is None
    with pytest.raises(Unavailable):
        await appender.append(making.append(lease, owner, [making.completed(letter.run)], after=1))


async def test_a_caller_that_gave_up_does_not_take_its_append_back(db: Database, appending: Appending) -> None:
    owner, [(lease, letter)] = await making.owned(db)
    appender = appending(db)
    waiting = asyncio.create_task(appender.append(making.append(lease, owner, [making.started(letter.run)])))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    appender.start()
    await appender.append(making.append(lease, owner, [making.completed(letter.run)], after=1))
    assert await making.value(db, "select count(*) from journal") == 2


async def test_runs_of_other_instances_cannot_be_changed(db: Database, appender: Appender) -> None:
    owner, [(lease, letter), (_, others)] = await making.owned(db, 2)
    changes = [RunChange(others.run, RunStatus.FAILED, ended=True)]
    await appender.append(making.append(lease, owner, [making.started(letter.run)], runs=changes))
    assert (await runs.get(db, making.TENANT, others.run)).status is RunStatus.ACCEPTED
    taken = [await seq_of(db, others)]
    await appender.append(making.append(lease, owner, [making.completed(letter.run)], after=1, taken=taken))
    assert len((await mailbox.pending(db, [others.instance]))[others.instance]) == 1


async def test_the_entries_of_a_chain_may_be_of_any_size(db: Database, appender: Appender) -> None:
    owner, [(lease, letter)] = await making.owned(db)
    large = replace(making.completed(letter.run), value="x" * 1_000_000)
    await asyncio.gather(*(appender.append(making.append(lease, owner, [large], after=head)) for head in range(20)))
    assert await making.value(db, "select sum(length(body::text)) from journal") > 20_000_000
    assert appender.stats.groups >= 2, "a group is bounded by bytes, too"


async def test_the_statement_reaches_every_table_through_an_index(db: Database) -> None:
    """Its plan is made once, when the tables may be empty, and must be good when they are not."""
    owner, [(lease, letter)] = await making.owned(db)
    append = await full(db, lease, owner, letter, timers_done=[(letter.run, "wait#1")])
    whole = group.Group([group.Item(append, asyncio.get_running_loop().create_future())])
    statement = sql.append_statement(whole.parts)
    connection = await db.connect(SESSION)
    try:
        adapt = psycopg.adapt.Transformer(connection)
        oids = [adapt.get_dumper(whole.parameters[name], PyFormat.BINARY).oid for name in statement.names]
        types = await making.rows(db, "select o::oid::regtype::text from unnest(%s::int[]) as o", oids)
        prepare = f"prepare written({', '.join(name for [name] in types)}) as "
        await connection.execute(prepare.encode() + statement.text)
        explained = await connection.execute(f"explain execute written({', '.join(['null'] * len(oids))})")
        plan = [line for [line] in await explained.fetchall()]
    finally:
        await connection.close()
    assert not any("Seq Scan" in line for line in plan)
    scans = {line.split(" on ")[1].split()[0]: below for line, below in pairwise(plan) if "Index Scan" in line}
    assert set(scans) == {"instances", "mailbox", "runs", "timers"}
    assert all("Index Cond" in below and "= ANY" in below for below in scans.values()), scans
