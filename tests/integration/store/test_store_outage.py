"""Answers that are lost, and servers that die: every append lands exactly once, and nobody has to help."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import making
import pytest
from losing import Losing

from trunkline.domain.errors import Fenced, Unavailable
from trunkline.domain.status import RunStatus
from trunkline.embedded.postgres import EmbeddedPostgres
from trunkline.store import database, journal, leases, migrate
from trunkline.store.accept import accept
from trunkline.store.append import Appender, RunChange, TimerSet
from trunkline.store.database import Database, Unreachable

Appending = Callable[..., Appender]
Opened = Callable[..., Awaitable[Database]]


@pytest.fixture
async def proxy(url: str) -> AsyncIterator[Losing]:
    proxy = Losing(url, marker=b"StepCompleted")
    await proxy.start()
    yield proxy
    await proxy.stop()


@pytest.fixture
async def lossy(proxy: Losing, schema: str, opened: Opened, appending: Appending) -> Appender:
    """An appender whose connection leads through the proxy."""
    appender = appending(await opened(proxy.url, schema=schema))
    appender.start()
    return appender


@pytest.mark.parametrize("loss", ["lose_answer", "lose_request"])
@pytest.mark.parametrize("times", [1, 3])
async def test_a_lost_commit_is_neither_lost_nor_doubled(
    db: Database, proxy: Losing, lossy: Appender, loss: str, times: int
) -> None:
    appender = lossy
    owner, held = await making.owned(db, 5)
    setattr(proxy, loss, times)
    futures = [
        making.submitted(
            appender,
            making.append(
                lease,
                owner,
                [making.started(letter.run), making.completed(letter.run)],
                runs=[RunChange(letter.run, RunStatus.RUNNING, started=True)],
                timers=[TimerSet(letter.run, "a", 60)],
                mail=[making.envelope(message_id=f"ask:{letter.run}")],
            ),
        )
        for lease, letter in held
    ]
    await asyncio.wait_for(asyncio.gather(*futures), 20)
    assert proxy.cuts == times
    assert await making.everything(db) == {
        "journal": 10, "mailbox": 10, "runs": 10, "timers": 5, "dead_letters": 0, "taken": 0
    }  # fmt: skip
    lease, letter = held[0]
    await appender.append(making.append(lease, owner, [making.completed(letter.run)], after=2))


async def test_after_a_lost_answer_refused_and_committed_are_told_apart(
    db: Database, proxy: Losing, lossy: Appender
) -> None:
    """In one group whose answer is lost: one at a stale head, one that passes. Only the first is refused."""
    appender = lossy
    owner, [(stale, letter), (good, others)] = await making.owned(db, 2)
    await appender.append(making.append(stale, owner, [making.started(letter.run)]))
    proxy.lose_answer = 1
    refused = making.submitted(appender, making.append(stale, owner, [making.completed(letter.run)]))
    passed = making.submitted(appender, making.append(good, owner, [making.completed(others.run)]))
    results = await asyncio.wait_for(asyncio.gather(refused, passed, return_exceptions=True), 20)
    assert proxy.cuts == 1
    assert isinstance(results[0], Fenced)
    assert results[1] is None
    assert await making.value(db, "select count(*) from journal") == 2


async def test_what_was_committed_counts_even_when_the_lease_is_gone_by_now(
    db: Database, proxy: Losing, lossy: Appender
) -> None:
    appender = lossy
    owner, [(lease, letter)] = await making.owned(db)
    taker = await making.worker(db)
    # The successor takes over the moment the entries stand: before the appender is back to ask.
    await making.rows(
        db,
        f"""create function {db.schema}.take_over() returns trigger language plpgsql as $$ begin
            update {db.schema}.instances set owner = '{taker}', epoch = epoch + 1 where id = new.instance;
            return null; end $$;
        create constraint trigger take_over after insert on {db.schema}.journal deferrable initially deferred
            for each row execute function {db.schema}.take_over()""",
    )
    proxy.lose_answer = 1
    await appender.append(making.append(lease, owner, [making.completed(letter.run)]))
    assert proxy.cuts == 1
    assert await leases.owner_of(db, lease.instance) == taker
    with pytest.raises(Fenced):
        await appender.append(making.append(lease, owner, [making.completed(letter.run)], after=1))


async def test_an_acceptance_whose_answer_was_lost_is_new_all_the_same(
    db: Database, proxy: Losing, schema: str, opened: Opened
) -> None:
    far = await opened(proxy.url, schema=schema)
    proxy.marker = b"the-only-one"
    proxy.lose_answer = 1
    letter = making.envelope(message_id="the-only-one")
    [result] = await accept(far, [letter])
    assert proxy.cuts == 1
    assert (result.new, result.run) == (True, letter.run)
    [repeat] = await accept(far, [making.envelope(letter.key, message_id="the-only-one")])
    assert (repeat.new, repeat.run) == (False, letter.run)
    assert await making.value(db, "select count(*) from runs") == 1


# --- the server dies ------------------------------------------------------------------------------------------------


@pytest.fixture
def mortal(open_path: Path) -> Iterator[EmbeddedPostgres]:
    """A server of the test's own, migrated."""
    server = EmbeddedPostgres(open_path / "mortal")
    server.start()
    migrate.upgrade(server.url)
    yield server
    server.abandon()


async def test_kill_9_in_mid_append_loses_nothing_and_doubles_nothing(
    mortal: EmbeddedPostgres, opened: Opened, appending: Appending, eventually: Callable[..., Awaitable[Any]]
) -> None:
    db = await opened(mortal.url)
    owner, held = await making.owned(db, 40)
    appender = appending(db)
    appender.start()
    killed = asyncio.Event()
    appended = [0] * len(held)

    async def drive(place: int) -> None:
        lease, letter = held[place]
        while not killed.is_set() or appended[place] < 30:
            await appender.append(making.append(lease, owner, [making.completed(letter.run)], after=appended[place]))
            appended[place] += 1

    drivers = [asyncio.create_task(drive(place)) for place in range(len(held))]
    for _ in range(2):
        target = appender.stats.groups + 20
        await eventually(lambda target=target: appender.stats.groups >= target, every=0.001)
        await asyncio.to_thread(mortal.kill)
        await asyncio.to_thread(mortal.start)
    killed.set()
    await asyncio.wait_for(asyncio.gather(*drivers), 60)
    assert appender.stats.retries >= 2
    found = await journal.read(db, [lease.instance for lease, _ in held])
    for place, (lease, _) in enumerate(held):
        kept = found[lease.instance]
        assert isinstance(kept, journal.Journal), kept
        assert len(kept.rows) == appended[place]
        keys = [row.entry.key for row in kept.rows]  # type: ignore[attr-defined]
        assert len(set(keys)) == len(keys)


async def test_while_the_server_is_away_callers_are_told_and_it_recovers_by_itself(
    mortal: EmbeddedPostgres, opened: Opened, appending: Appending, eventually: Any
) -> None:
    db = await opened(mortal.url, size=2)
    owner, [(lease, letter)] = await making.owned(db)
    await accept(db, [making.envelope()])  # the lease is certain with the first commit after it
    appender = appending(db)
    appender.start()
    await asyncio.to_thread(mortal.kill)
    with pytest.raises(Unreachable):
        await db.ping()
    waiting = making.submitted(appender, making.append(lease, owner, [making.started(letter.run)]))
    with pytest.raises(Unavailable):
        await accept(db, [making.envelope()])
    assert not waiting.done()
    await asyncio.to_thread(mortal.start)
    await asyncio.wait_for(waiting, 20)

    async def answers() -> bool:
        try:
            await db.ping()
        except Unreachable:
            return False
        return True

    assert await eventually(answers)


async def test_closing_while_the_server_is_away_fails_what_waits(
    mortal: EmbeddedPostgres, opened: Opened, appending: Appending
) -> None:
    db = await opened(mortal.url)
    owner, [(lease, letter)] = await making.owned(db)
    appender = appending(db)
    appender.start()
    await asyncio.to_thread(mortal.kill)
    waiting = making.submitted(appender, making.append(lease, owner, [making.started(letter.run)]))
    await asyncio.wait_for(appender.close(), 5)
    with pytest.raises(Unavailable):
        await waiting


async def test_who_gets_no_connection_is_told_of_both_that_it_may_be(
    mortal: EmbeddedPostgres, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = await opened(mortal.url, size=1)
    monkeypatch.setattr(database, "PATIENCE", 0.1)
    async with db.connection():
        with pytest.raises(Unreachable, match=r"does not answer, or all .* in use \(TRUNKLINE_DATABASE_POOL\)\. Try"):
            await db.ping()
    await db.ping()


async def test_an_absent_server_is_named_and_waited_for(
    mortal: EmbeddedPostgres, opened: Opened, appending: Appending
) -> None:
    await asyncio.to_thread(mortal.kill)
    with pytest.raises(Unreachable, match="Postgres cannot be reached: connection"):
        await opened(mortal.url)
    opening = asyncio.create_task(opened(mortal.url, wait=30))
    await asyncio.to_thread(mortal.start)
    db = await asyncio.wait_for(opening, 10)
    await db.ping()
