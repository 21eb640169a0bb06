"""Bonds: who is told of a run's end by the commit that ends it, by the second look, and by the supervisor's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from integration.store import making
from trunkline.domain.ids import new_id
from trunkline.domain.journal import RunCompleted, RunFailed
from trunkline.domain.mail import Envelope
from trunkline.domain.status import BondKind, RunStatus
from trunkline.store import bonds
from trunkline.store.append import Append, Appender, BondMade, RunChange
from trunkline.store.database import Database
from trunkline.store.leases import Lease

Appending = Callable[..., Appender]


def begin(lease: Lease, owner: str, letter: Envelope, **fields: Any) -> Append:
    change = RunChange(letter.run, RunStatus.WAITING, started=True)
    return making.append(lease, owner, [making.started(letter.run)], runs=[change], **fields)


def end(lease: Lease, owner: str, letter: Envelope, *, error: dict[str, Any] | None = None, **fields: Any) -> Append:
    entry = RunFailed(letter.run, error=error) if error else RunCompleted(letter.run, output={"b": 1, "a": 2})
    status = RunStatus.FAILED if error else RunStatus.COMPLETED
    output = None if error else {"b": 1, "a": 2}
    change = RunChange(letter.run, status, output=output, error=error, ended=True)
    return making.append(lease, owner, [entry], after=lease.head + 1, runs=[change], **fields)


def bond(watched: Envelope, watcher: Envelope, kind: BondKind = BondKind.MONITOR) -> BondMade:
    step = "monitor:run#1" if kind is BondKind.MONITOR else ""
    return BondMade(watched.run, kind, watcher.run, watcher.agent, watcher.key, step)


async def told(db: Database, watcher: Envelope) -> list[tuple[str, Any]]:
    sql = "select kind, body from mailbox where instance = %s and kind in ('reply', 'cancel') order by seq"
    return await making.rows(db, sql, watcher.instance)


async def left(db: Database) -> int:
    return int(await making.value(db, "select count(*) from bonds"))


async def test_the_commit_that_ends_a_run_tells_of_it(db: Database, appending: Appending) -> None:
    woken: list[tuple[str, str, str]] = []
    appender = appending(db, wake=lambda *address: woken.append(address))
    appender.start()
    owner, [(first, watched), (second, watcher)] = await making.owned(db, 2)
    await appender.append(begin(first, owner, watched))
    await appender.append(begin(second, owner, watcher, bonds=[bond(watched, watcher)]))
    assert woken == []
    await appender.append(end(first, owner, watched))
    [(kind, body)] = await told(db, watcher)
    assert (kind, body["step"], body["error"]) == ("reply", "monitor:run#1", None)
    assert body["value"] == {
        "agent": "orders", "key": watched.key, "run": watched.run, "status": "completed",
        "output": {"b": 1, "a": 2}, "error": None,
    }  # fmt: skip
    assert list(body["value"]["output"]) == ["b", "a"]  # in its own order
    assert woken == [("default", "orders", watcher.instance)]
    assert await left(db) == 0


async def test_links_and_stops_cancel(db: Database, appender: Appender) -> None:
    owner, made = await making.owned(db, 4)
    (first, watched), *watchers = made
    error = {"type": "ValueError", "message": "x" * 2000}
    await appender.append(begin(first, owner, watched))
    for (lease, watcher), kind in zip(watchers, (BondKind.LINK, BondKind.STOP, BondKind.MONITOR), strict=True):
        await appender.append(begin(lease, owner, watcher, bonds=[bond(watched, watcher, kind)]))
    await appender.append(end(first, owner, watched, error=error))
    [link], [stop], [monitor] = [await told(db, watcher) for _, watcher in watchers]
    assert link[1]["reason"] == f"the linked run {watched.run} of orders is failed: ValueError: {'x' * 500}"
    assert (stop, monitor[0]) == (("cancel", {"reason": "its parent has ended"}), "reply")


async def test_a_bond_in_the_very_commit_of_the_end_is_for_the_second_look(db: Database, appending: Appending) -> None:
    appender = appending(db)
    owner, [(first, watched), (second, watcher)] = await making.owned(db, 2)
    submitted = [
        making.submitted(appender, begin(first, owner, watched)),
        making.submitted(appender, end(first, owner, watched)),
        making.submitted(appender, begin(second, owner, watcher, bonds=[bond(watched, watcher)])),
    ]
    appender.start()  # one group
    await asyncio.gather(*submitted)
    assert appender.stats.groups == 1
    assert await told(db, watcher) == []
    assert await bonds.settle(db, [watched.run]) == [("default", "orders", watcher.instance)]
    assert [kind for kind, _ in await told(db, watcher)] == ["reply"]
    assert await bonds.settle(db, [watched.run]) == []


async def test_whoever_looks_at_once_tells_once(db: Database, appender: Appender) -> None:
    owner, [(first, watched), *watchers] = await making.owned(db, 20)
    for lease, watcher in watchers:
        await appender.append(begin(lease, owner, watcher, bonds=[bond(watched, watcher)]))
    await making.rows(db, "update runs set ended_at = now(), status = 'failed' where id = %s", watched.run)
    assert first.head == 0
    looks = await asyncio.gather(*[bonds.settle(db, [watched.run]) for _ in range(8)])
    assert sorted(address for look in looks for address in look) == sorted(
        ("default", "orders", watcher.instance) for _, watcher in watchers
    )
    assert [len(await told(db, watcher)) for _, watcher in watchers] == [1] * 19


async def test_what_is_given_up_in_the_same_commit_was_never_there(db: Database, appending: Appending) -> None:
    appender = appending(db)
    owner, [(first, watched), (second, watcher)] = await making.owned(db, 2)
    made = bond(watched, watcher)
    submitted = [
        making.submitted(appender, begin(second, owner, watcher, bonds=[made, bond(watched, watcher, BondKind.LINK)])),
        making.submitted(
            appender,
            making.append(
                second, owner, [making.completed(watcher.run)], after=1, bonds_done=[(watcher.run, made.step)]
            ),
        ),
    ]
    appender.start()
    await asyncio.gather(*submitted)
    assert await making.rows(db, "select kind from bonds") == [("link",)]
    assert first.instance == watched.instance


async def test_whoever_has_ended_is_told_no_more(db: Database, appender: Appender) -> None:
    owner, [(first, watched), (second, watcher)] = await making.owned(db, 2)
    await appender.append(begin(second, owner, watcher, bonds=[bond(watched, watcher)]))
    await appender.append(end(second, owner, watcher))
    assert await left(db) == 0
    await appender.append(begin(first, owner, watched))
    await appender.append(end(first, owner, watched))
    assert await told(db, watcher) == []


async def test_the_supervisor_goes_through_all_of_them_page_by_page(db: Database, appender: Appender) -> None:
    """Of a run that has ended, of one that nobody knows, of a watcher that has ended, and of two that go on."""
    owner, made = await making.owned(db, 5)
    (_, open_), (_, gone), *watchers = made
    nowhere = making.envelope()
    for (lease, watcher), watched in zip(watchers, (gone, nowhere, open_), strict=True):
        await appender.append(begin(lease, owner, watcher, bonds=[bond(watched, watcher)]))
    late = making.envelope(watchers[0][1].key, run=new_id())
    await making.rows(db, "update runs set ended_at = now(), status = 'failed' where id = %s", gone.run)
    await making.rows(
        db,
        "insert into bonds (tenant, run, kind, watcher, step, instance, agent, key)"
        " values ('default', %s, 'stop', %s, '', %s, 'orders', %s)",
        open_.run, late.run, late.instance, late.key,
    )  # fmt: skip
    place, looks, woken = bonds.FIRST, 0, list[Any]()
    while True:
        found, place = await bonds.settle_lost(db, 0.0, 2, place)
        looks, woken = looks + 1, woken + found
        if place == bonds.FIRST:
            break
    assert looks == 3
    assert {address[2] for address in woken} == {watchers[0][1].instance, watchers[1][1].instance}
    [(_, unknown)] = await told(db, watchers[1][1])
    assert unknown["error"] == {"type": "UnknownRun", "message": f"there is no run {nowhere.run}", "retryable": False}
    assert await making.rows(db, "select run::text, kind from bonds") == [(open_.run, "monitor")]
    assert await bonds.settle_lost(db, 3600.0, 2, bonds.FIRST) == ([], bonds.FIRST)
