"""Acceptance: once for every message, in order, all or none, also inside the caller's own transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import making
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from making import envelope, signal

from trunkline.domain.errors import BadKey, MailboxFull, NotJson, RunEnded, UnknownRun
from trunkline.domain.ids import new_id
from trunkline.domain.status import EnvelopeKind, RunStatus
from trunkline.store import leases, mailbox, runs
from trunkline.store.accept import accept, accept_in
from trunkline.store.append import Appender, RunChange
from trunkline.store.database import Database

Opened = Callable[..., Awaitable[Database]]


async def test_a_request_becomes_mail_and_a_run_in_the_order_of_its_coming(db: Database) -> None:
    letters = [envelope("k") for _ in range(5)]
    results = await accept(db, letters)
    assert [(result.new, result.run) for result in results] == [(True, letter.run) for letter in letters]
    pending = (await mailbox.pending(db, [letters[0].instance]))[letters[0].instance]
    assert [mail.message_id for mail in pending] == [letter.message_id for letter in letters]
    assert [mail.body for mail in pending] == [letter.body for letter in letters]
    run = await runs.get(db, making.TENANT, letters[0].run)
    assert (run.status, run.input, run.key) == (RunStatus.ACCEPTED, {"n": 1}, "k")


async def test_a_repeat_finds_the_first(db: Database) -> None:
    first = envelope("k", digest="d1")
    again = replace(first, run=new_id())
    other = replace(first, run=new_id(), digest="d2")
    unsaid = replace(first, run=new_id(), digest="")
    results = await accept(db, [first, again])
    results += await accept(db, [again, other, unsaid])
    assert [result.new for result in results] == [True, False, False, False, False]
    assert {result.run for result in results} == {first.run}
    assert [result.conflict for result in results] == [False, False, False, True, False]
    assert await making.everything(db) | {"journal": 0} == {
        "journal": 0, "mailbox": 1, "runs": 1, "timers": 0, "dead_letters": 0, "taken": 0
    }  # fmt: skip


async def test_the_same_message_id_means_another_message_elsewhere(db: Database) -> None:
    one = envelope("a", message_id="m")
    results = await accept(db, [one, replace(one, key="b", run=new_id()), replace(one, tenant="t2", run=new_id())])
    assert [result.new for result in results] == [True, True, True]


async def test_many_that_come_at_once_are_one(db: Database) -> None:
    letters = [envelope("k", message_id="same") for _ in range(8)]
    results = [result for [result] in await asyncio.gather(*(accept(db, [letter]) for letter in letters))]
    assert sum(result.new for result in results) == 1
    assert len({result.run for result in results}) == 1
    assert await making.value(db, "select count(*) from runs") == 1


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=6), max_size=4))
async def test_however_messages_are_batched_each_is_accepted_once(
    db: Database, batches: list[list[tuple[int, int]]]
) -> None:
    salt = new_id()
    first: dict[tuple[int, int], str] = {}
    for batch in batches:
        letters = [envelope(f"{salt}{key}", message_id=f"m{message}") for key, message in batch]
        results = await accept(db, letters)
        for named, letter, result in zip(batch, letters, results, strict=True):
            assert result.new is (named not in first)
            assert result.run == first.setdefault(named, letter.run)


async def test_signals_reach_open_runs_and_no_others(db: Database, appender: Appender) -> None:
    owner, [(lease, request)] = await making.owned(db)
    early = signal(request)
    [accepted] = await accept(db, [early])
    assert accepted.new
    change = RunChange(request.run, RunStatus.COMPLETED, started=True, ended=True)
    await appender.append(making.append(lease, owner, [making.started(request.run)], runs=[change]))
    before = await making.everything(db)
    with pytest.raises(RunEnded, match="completed"):
        await accept(db, [envelope(), signal(request)])
    with pytest.raises(UnknownRun):
        await accept(db, [envelope(), replace(signal(request), run=new_id())])
    with pytest.raises(UnknownRun):  # of another instance
        await accept(db, [replace(early, key="other", message_id="x")])
    with pytest.raises(UnknownRun):  # of another tenant
        await accept(db, [replace(early, tenant="other", message_id="x")])
    with pytest.raises(RunEnded):
        await accept(db, [replace(signal(request), kind=EnvelopeKind.CANCEL)])
    assert await making.everything(db) == before, "nothing of a refused batch is kept"
    [repeat] = await accept(db, [early])
    assert not repeat.new, "a repeat is told what the first was told"


async def test_a_signal_may_come_with_its_run_or_to_an_instance_that_never_was(db: Database) -> None:
    request = envelope()
    results = await accept(db, [request, signal(request), envelope("new", kind=EnvelopeKind.SIGNAL)])
    assert [result.new for result in results] == [True, True, True]
    assert await making.value(db, "select count(*) from runs") == 1


@pytest.mark.parametrize("key", ["a b", "a.b.*.>", "ключ/ /ü", "x" * 512, "' or 1=1 --", "{schema}%s"])
async def test_awkward_keys_are_legal(db: Database, key: str) -> None:
    letter = envelope(key)
    await accept(db, [letter])
    owner = await making.worker(db)
    [[lease], _] = await leases.take(db, owner, [letter.instance])
    assert lease.key == key


@pytest.mark.parametrize("key", ["", "a\x00b", "a\ud800", "x" * 513])
async def test_other_keys_are_not(db: Database, key: str) -> None:
    with pytest.raises(BadKey):
        await accept(db, [replace(envelope(), key=key)])


async def test_a_body_that_is_not_json_is_refused(db: Database) -> None:
    with pytest.raises(NotJson):
        await accept(db, [envelope(body={"input": float("inf")})])


# --- in the caller's own transaction --------------------------------------------------------------------------------


async def test_in_the_callers_transaction_it_is_true_when_that_commits(db: Database, url: str) -> None:
    kept, dropped = envelope(), envelope()
    async with await psycopg.AsyncConnection.connect(url) as connection:
        [result] = await accept_in(connection, [kept], schema=db.schema)
        assert result.new
        assert await making.value(db, "select count(*) from mailbox") == 0
        await connection.commit()
        await accept_in(connection, [dropped], schema=db.schema)
        await connection.rollback()
    assert await making.rows(db, "select message_id from mailbox") == [(kept.message_id,)]


async def test_a_refusal_leaves_the_callers_transaction_usable(db: Database, url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        with pytest.raises(UnknownRun):
            await accept_in(connection, [signal(envelope())], schema=db.schema)
        await accept_in(connection, [envelope()], schema=db.schema)
    assert await making.value(db, "select count(*) from mailbox") == 1


async def test_an_open_transaction_is_in_nobodys_way(db: Database, url: str, appender: Appender) -> None:
    """A caller takes its time; agents, and other callers, write to the same new instance meanwhile."""
    owner, [(lease, request)] = await making.owned(db)
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await accept_in(connection, [envelope("shared")], schema=db.schema)
        ask = envelope("shared")
        async with asyncio.timeout(5):
            await appender.append(making.append(lease, owner, [making.started(request.run)], mail=[ask]))
            await accept(db, [envelope("shared")])
            [[shared], _] = await leases.take(db, owner, [ask.instance])
        assert shared.key == "shared"
    assert len((await mailbox.pending(db, [ask.instance]))[ask.instance]) == 3


class Facade:
    """What SQLAlchemy's AsyncConnection shows of the driver's."""

    def __init__(self, connection: object, *, begun: bool) -> None:
        self.driver_connection = connection
        self.begun = begun

    def in_transaction(self) -> bool:
        return self.begun

    async def begin(self) -> None:
        self.begun = True

    async def get_raw_connection(self) -> Facade:
        return self


class Session:
    """What SQLAlchemy's AsyncSession shows of its connection."""

    def __init__(self, facade: Facade) -> None:
        self._facade = facade

    def get_bind(self) -> None: ...

    async def connection(self) -> Facade:
        return self._facade


async def test_a_connection_of_sqlalchemys_shape_is_seen_through(db: Database, url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        facade = Facade(connection, begun=False)
        await accept_in(facade, [envelope()], schema=db.schema)
        assert facade.begun, "or SQLAlchemy would not commit what it knows nothing of"
        await accept_in(Session(facade), [envelope()], schema=db.schema)
    assert await making.value(db, "select count(*) from mailbox") == 2


@pytest.mark.parametrize("stranger", [None, 3, Facade("asyncpg", begun=True)])
async def test_other_connections_are_refused_with_what_to_pass(stranger: object) -> None:
    with pytest.raises(TypeError, match="pass psycopg's AsyncConnection, or SQLAlchemy's"):
        await accept_in(stranger, [envelope()])


async def test_an_instance_with_no_room_takes_nothing_new_and_its_neighbours_do(db: Database) -> None:
    first = envelope("full")
    await accept(db, [first, envelope("full"), envelope("full")], most=3)
    beside = envelope("beside")
    for kind in (EnvelopeKind.REQUEST, EnvelopeKind.EVENT, EnvelopeKind.SIGNAL):
        with pytest.raises(MailboxFull, match="orders/full has 3 letters") as raised:
            await accept(db, [beside, envelope("full", kind=kind)], most=3)
        assert raised.value.fields["instances"] == {first.instance}
    [taken] = await accept(db, [beside], most=3)
    assert taken.new, "the refused batches left nothing of it"
    [again] = await accept(db, [replace(first, run=new_id())], most=3)
    assert (again.new, again.run) == (False, first.run), "a repeat is told what the first was told"


async def test_what_answers_or_ends_something_is_taken_by_an_instance_with_no_room(db: Database) -> None:
    first = envelope("full")
    await accept(db, [first], most=1)
    for kind in (EnvelopeKind.REPLY, EnvelopeKind.TIMER, EnvelopeKind.CANCEL, EnvelopeKind.RESOLVE):
        [taken] = await accept(db, [envelope("full", kind=kind, run=first.run)], most=1)
        assert taken.new, kind
