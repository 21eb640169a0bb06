"""Acceptance in groups: many callers share a commit, and what is wrong with one is wrong for that one alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import making
import psycopg
import pytest
from losing import Losing
from making import envelope, signal

from trunkline.domain.errors import BadKey, MailboxFull, UnknownRun
from trunkline.domain.ids import new_id
from trunkline.observe import metrics
from trunkline.store.accept import accept, accept_in
from trunkline.store.accepting import LETTERS, Accepting
from trunkline.store.database import Database, Unreachable

Opened = Callable[..., Awaitable[Database]]


@pytest.fixture
def accepting(db: Database) -> Accepting:
    return Accepting(db, most=3)


@pytest.fixture
async def proxy(url: str) -> AsyncIterator[Losing]:
    proxy = Losing(url, marker=b"the-only-one")
    await proxy.start()
    yield proxy
    await proxy.stop()


def _count() -> float:
    samples = {one.name: one.value for one in next(iter(metrics.accept_group.collect())).samples if not one.labels}
    return float(samples["trunkline_accept_group_count"])


async def test_whoever_comes_while_a_commit_is_under_way_shares_the_next(db: Database, accepting: Accepting) -> None:
    before, letters = _count(), [envelope() for _ in range(200)]
    results = await asyncio.gather(*(accepting.accept([letter]) for letter in letters))
    assert [(one.run, one.new) for [one] in results] == [(letter.run, True) for letter in letters]
    assert await making.value(db, "select count(*) from runs") == 200
    assert _count() - before == 1  # all of them came before the loop turned
    await accepting.accept([envelope()])
    assert _count() - before == 2


async def test_a_flood_becomes_commits_of_a_bounded_size(db: Database, accepting: Accepting) -> None:
    before = _count()
    await asyncio.gather(*(accepting.accept([envelope()]) for _ in range(LETTERS + 1)))
    assert _count() - before == 2
    assert await making.value(db, "select count(*) from mailbox") == LETTERS + 1


async def test_what_is_wrong_with_one_is_wrong_for_that_one_alone(db: Database, accepting: Accepting) -> None:
    full = [envelope("full") for _ in range(3)]
    await accept(db, full)
    sound = [envelope() for _ in range(4)]
    asked: list[Any] = [
        [sound[0]],
        [envelope("full")],  # there is no room
        [sound[1]],
        [signal(replace(envelope("k"), run=new_id()))],  # there is no such run
        [envelope("k\x00")],  # not a key
        [sound[2], envelope("full")],  # whole or not at all
        [replace(envelope(), agent="no\x00name")],  # which Postgres does not take
        [full[0]],  # was accepted before
        [sound[3]],
    ]
    results = await asyncio.gather(*map(accepting.accept, asked), return_exceptions=True)
    wrong = {place: type(one) for place, one in enumerate(results) if isinstance(one, BaseException)}
    assert wrong == {1: MailboxFull, 3: UnknownRun, 4: BadKey, 5: MailboxFull, 6: psycopg.DataError}
    assert [one.new for place in (0, 2, 7, 8) for one in results[place]] == [True, True, False, True]  # type: ignore[union-attr]
    kept = await making.value(db, "select array_agg(run::text order by seq) from mailbox where key <> 'full'")
    assert kept == [sound[0].run, sound[1].run, sound[3].run]


async def test_a_repeat_in_the_same_moment_finds_the_first(db: Database, accepting: Accepting) -> None:
    first = envelope("k", digest="d1")
    again, other = replace(first, run=new_id()), replace(first, run=new_id(), digest="d2")
    results = await asyncio.gather(*(accepting.accept([one]) for one in (first, again, other, envelope())))
    assert [(one.new, one.conflict) for [one] in results] == [
        (True, False),
        (False, False),
        (False, True),
        (True, False),
    ]
    assert {one.run for [one] in results[:3]} == {first.run}


async def test_a_letter_that_was_refused_with_others_is_taken_when_it_comes_alone(
    db: Database, accepting: Accepting
) -> None:
    await accept(db, [envelope("full") for _ in range(3)])
    twice = envelope("k")
    refused, alone = await asyncio.gather(
        accepting.accept([twice, envelope("full")]), accepting.accept([twice]), return_exceptions=True
    )
    assert isinstance(refused, MailboxFull)
    assert [one.new for one in alone] == [True]  # type: ignore[union-attr]
    assert await making.value(db, "select count(*) from mailbox where key = 'k'") == 1


async def test_who_goes_away_is_accepted_all_the_same(db: Database, accepting: Accepting) -> None:
    letters = [envelope(), envelope()]
    going, staying = [asyncio.create_task(accepting.accept([letter])) for letter in letters]
    await asyncio.sleep(0)  # both wait now
    going.cancel()
    assert [one.new for one in await staying] == [True]
    assert await making.value(db, "select count(*) from runs") == 2


@asynccontextmanager
async def held(url: str, schema: str, letter: Any) -> AsyncIterator[None]:
    """Somebody has accepted ``letter`` in a transaction that is still open."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await accept_in(connection, [letter], schema=schema)
        yield
        await connection.commit()


async def test_somebody_elses_open_transaction_holds_up_only_who_repeats_it(
    url: str, schema: str, accepting: Accepting
) -> None:
    theirs = envelope("k", message_id="idem:theirs")
    async with held(url, schema, theirs):
        repeating = asyncio.create_task(accepting.accept([replace(theirs, run=new_id())]))
        results = await asyncio.gather(*(accepting.accept([envelope()]) for _ in range(5)))
        assert [one.new for [one] in results] == [True] * 5
        results = await asyncio.gather(*(accepting.accept([envelope()]) for _ in range(5)))
        assert [one.new for [one] in results] == [True] * 5
        assert not repeating.done()
    [found] = await repeating
    assert (found.run, found.new) == (theirs.run, False)


async def test_a_group_whose_answer_was_lost_is_new_all_the_same(
    db: Database, proxy: Losing, schema: str, opened: Opened
) -> None:
    far = await opened(proxy.url, schema=schema)
    accepting = Accepting(far)
    proxy.lose_answer = 1
    letters = [envelope(message_id="the-only-one"), envelope()]
    results = await asyncio.gather(*(accepting.accept([letter]) for letter in letters))
    assert proxy.cuts == 1
    assert [(one.run, one.new) for [one] in results] == [(letter.run, True) for letter in letters]
    assert await making.value(db, "select count(*) from runs") == 2


async def test_while_postgres_is_away_callers_are_told_and_it_recovers_by_itself(
    proxy: Losing, schema: str, opened: Opened
) -> None:
    accepting = Accepting(await opened(proxy.url, schema=schema))
    await accepting.accept([envelope()])
    await proxy.cut()
    with pytest.raises(Unreachable):
        await accepting.accept([envelope()])
    proxy.heal()
    assert [one.new for one in await accepting.accept([envelope()])] == [True]


async def test_closing_answers_whoever_waits(url: str, schema: str, opened: Opened) -> None:
    own = await opened(url, schema=schema)
    accepting, theirs = Accepting(own), envelope("k", message_id="idem:theirs")
    async with held(url, schema, theirs):
        waiting = asyncio.create_task(accepting.accept([theirs]))
        await accepting.accept([envelope()])  # by now the other one is aside, or the next group
        await own.close()
        with pytest.raises(Unreachable):
            await waiting
