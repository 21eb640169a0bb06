"""Spawned runs, monitors and links: whoever is bound to a run is told of its end, however it ends and whoever dies."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from integration.store.making import value
from integration.testing.tree_app import app, brief, crowd, fickle, parent, watcher, worker
from trunkline.domain.journal import RunStarted
from trunkline.store.audit import audit
from trunkline.testing import Exchange, ExchangeFactory

UNHURRIED = {"reconcile_every": 600.0}  # seconds


async def sound(tl: Exchange) -> None:
    """No bond and no letter is left over, and no promise was broken."""
    await tl.settle()
    found = await audit(tl._db, tl.settings.tenant)
    assert (found.violations, found.unfinished) == ([], [])


async def of(tl: Exchange, agent: str) -> list[dict[str, Any]]:
    return [one for one in (await tl.runs(limit=100))["items"] if one["agent"] == agent]


async def bonds(tl: Exchange) -> int:
    return int(await value(tl._db, "select count(*) from bonds"))


# --- monitors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "status", "output", "error"),
    [("hello", "completed", "HELLO", None), ("fail", "failed", None, "ValueError")],
)
async def test_a_monitor_tells_how_a_run_ends(
    exchange: ExchangeFactory, word: str, status: str, output: Any, error: str | None
) -> None:
    async with exchange(app) as tl:
        watched = await tl.start(worker, "wait", key="w")
        watching = await tl.start(watcher, watched.id)
        await tl.settle()
        assert await watching.status() == "waiting"
        await tl.signal(worker, "w", "go", word)
        end = await watching.result()
        assert (end["agent"], end["key"], end["run"]) == ("worker", "w", watched.id)
        assert (end["status"], end["output"], (end["error"] or {}).get("type")) == (status, output, error)
        await sound(tl)


async def test_of_a_run_that_has_ended_it_is_told_at_once(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        watched = await tl.start(worker, "hello")
        await watched.result()
        assert (await (await tl.start(watcher, watched.id)).result())["output"] == "HELLO"
        await sound(tl)


@pytest.mark.parametrize("run", ["01a1fdd1-0c06-70ce-870c-03dbc8f1c1a2", "no id at all"])
async def test_a_run_that_is_unknown_is_no_run(exchange: ExchangeFactory, run: str) -> None:
    async with exchange(app) as tl:
        assert await (await tl.start(watcher, run)).result() == {"error": "UnknownRun"}
        await sound(tl)


async def test_it_outlives_the_workers_of_both(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        watched = await tl.start(worker, "wait", key="w")
        watching = await tl.start(watcher, watched.id)
        await tl.settle()
        await tl.crash("agents")
        await tl.signal(worker, "w", "go", "hello")
        assert (await watching.result())["output"] == "HELLO"
        await sound(tl)


async def test_a_run_that_only_watches_costs_no_memory(exchange: ExchangeFactory, eventually: Any) -> None:
    async with exchange(app, settings={"idle_after": 0.05}) as tl:
        watched = await tl.start(worker, "wait", key="w")
        watching = await tl.start(watcher, watched.id, key="x")
        await tl.settle()
        owned = "select count(*) from instances where owner is not null"

        async def nobody() -> bool:
            return bool(await value(tl._db, owned) == 0)

        await eventually(nobody)
        await tl.signal(worker, "w", "go", "hello")
        assert (await watching.result())["output"] == "HELLO"
        await sound(tl)


async def test_a_cancelled_run_and_an_erased_instance_have_ended(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        cancelled, erased = [await tl.start(worker, "wait", key=key) for key in ("c", "e")]
        watching = [await tl.start(watcher, run.id) for run in (cancelled, erased)]
        await tl.settle()
        await cancelled.cancel("enough")
        await tl.erase(worker, "e")
        ends = [await run.result() for run in watching]
        assert [(end["status"], end["error"]["type"]) for end in ends] == [
            ("cancelled", "Cancelled"),
            ("failed", "Erased"),
        ]
        await sound(tl)


async def test_a_monitor_that_is_given_up_leaves_nothing(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        watched = await tl.start(worker, "wait", key="w")
        watching = await tl.start(fickle, watched.id, key="f")
        await tl.settle()
        assert await bonds(tl) == 1
        await tl.skip("2m")
        assert await bonds(tl) == 0
        await tl.signal(worker, "w", "go", "x")
        await tl.signal(fickle, "f", "go", "y")
        assert await watching.result() == "y"
        await sound(tl)


async def test_whoever_ends_is_told_no_more(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        watched = await tl.start(worker, "wait", key="w")
        watching = await tl.start(watcher, watched.id)
        await tl.settle()
        await watching.cancel("enough")
        await tl.settle()
        assert await bonds(tl) == 0
        await tl.erase(worker, "w")
        await sound(tl)


async def test_what_both_looks_missed_the_supervisor_finds(exchange: ExchangeFactory) -> None:
    """A bond whose run ended in a commit that could not see it, and whose writer died before the second look."""
    async with exchange(app) as tl:
        watched = await tl.start(worker, "wait", key="w")
        watching = await tl.start(watcher, watched.id)
        await tl.settle()
        async with tl._db.connection() as connection:
            await connection.execute("create table put_by as select * from bonds")
            await connection.execute("delete from bonds")
        await tl.signal(worker, "w", "go", "hello")
        await watched.result()
        async with tl._db.connection() as connection:
            await connection.execute("insert into bonds select * from put_by")
        assert (await watching.result())["output"] == "HELLO"
        await sound(tl)


# --- children -------------------------------------------------------------------------------------------------------


async def test_a_child_is_spawned_once_and_told_of(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await tl.start(parent, {"word": "hello"})
        told = await run.result()
        assert (told["status"], told["output"], told["error"]) == ("completed", "HELLO", None)
        [child] = await of(tl, "worker")
        assert (child["id"], child["parent_run"]) == (told["child"], run.id)
        await sound(tl)


async def test_many_children_of_one_run(exchange: ExchangeFactory) -> None:
    async with exchange(app, agents=2) as tl:
        assert await (await tl.start(crowd, 50)).result() == [f"W{n}" for n in range(50)]
        await sound(tl)


async def test_spawning_survives_the_death_of_the_worker(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await tl.start(parent, {"word": "wait", "key": "w"})
        await tl.settle()
        await tl.crash("agents")
        await tl.signal(worker, "w", "go", "hello")
        assert (await run.result())["output"] == "HELLO"
        assert len(await of(tl, "worker")) == 1
        await sound(tl)


@pytest.mark.parametrize(("word", "result"), [("hello", "HELLO"), ("fail", "ValueError")])
async def test_its_result_is_what_asking_would_have_given(exchange: ExchangeFactory, word: str, result: str) -> None:
    async with exchange(app) as tl:
        assert await (await tl.start(parent, {"word": word, "then": "result"})).result() == {"result": result}


async def test_a_child_is_cancelled(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        told = await (await tl.start(parent, {"word": "wait", "cancel": True})).result()
        assert (told["status"], told["error"]["message"]) == ("cancelled", "no longer wanted")
        await sound(tl)


@pytest.mark.parametrize("then", ["end", "fail"])
async def test_a_child_stops_with_its_parent(exchange: ExchangeFactory, then: str) -> None:
    """Also of a parent that ends in the very commit that spawns it, and without the supervisor's look."""
    async with exchange(app, settings=UNHURRIED) as tl:
        await tl.start(parent, {"word": "wait", "then": then})
        await tl.settle()
        [child] = await of(tl, "worker")
        assert (child["status"], child["error"]["message"]) == ("cancelled", "its parent has ended")
        await sound(tl)


@pytest.mark.parametrize("end", ["cancel", "erase"])
async def test_a_child_stops_however_its_parent_ends(exchange: ExchangeFactory, end: str) -> None:
    async with exchange(app) as tl:
        run = await tl.start(parent, {"word": "wait", "then": "hold"}, key="p")
        await tl.settle()
        await (run.cancel("enough") if end == "cancel" else tl.erase(parent, "p"))
        await tl.settle()
        assert [child["status"] for child in await of(tl, "worker")] == ["cancelled"]
        await sound(tl)


@pytest.mark.parametrize("on_parent_end", ["continue", "orphan"])
async def test_a_child_goes_on_without_its_parent(exchange: ExchangeFactory, on_parent_end: str) -> None:
    async with exchange(app) as tl:
        how = {"word": "wait", "key": "w", "then": "end", "on_parent_end": on_parent_end}
        run = await tl.start(parent, how)
        await run.result()
        await tl.settle()
        [child] = await of(tl, "worker")
        assert child["parent_run"] == (run.id if on_parent_end == "continue" else "")
        await tl.signal(worker, "w", "go", "on")
        assert await tl.run(child["id"]).result() == "ON"
        await sound(tl)


@pytest.mark.parametrize(("on_parent_end", "bound"), [("stop", True), ("continue", True), ("orphan", False)])
async def test_a_child_has_its_parents_deadline(exchange: ExchangeFactory, on_parent_end: str, bound: bool) -> None:
    async with exchange(app) as tl:
        await tl.start(brief, on_parent_end)
        await tl.settle()
        [child] = await of(tl, "worker")
        [started] = [one for one in await tl.journal(child["id"]) if isinstance(one, RunStarted)]
        assert (started.deadline is not None) is bound
        await tl.skip("2h")
        assert [one["status"] for one in await of(tl, "worker")] == ["cancelled" if bound else "waiting"]
        assert [one["status"] for one in await of(tl, "brief")] == ["cancelled"]


# --- links ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [{"link": True}, {"linked_later": True}])
async def test_a_linked_run_is_cancelled_when_the_other_fails(exchange: ExchangeFactory, how: dict[str, Any]) -> None:
    async with exchange(app) as tl:
        run = await tl.start(parent, {"word": "wait", "key": "w", "then": "hold", **how})
        await tl.settle()
        await tl.signal(worker, "w", "go", "fail")
        await tl.settle()
        [ended], [child] = await of(tl, "parent"), await of(tl, "worker")
        assert ended["status"] == "cancelled"
        assert ended["error"]["message"] == (
            f"the linked run {child['id']} of worker is failed: ValueError: as it was told"
        )
        assert await run.status() == "cancelled"
        await sound(tl)


async def test_a_link_goes_both_ways(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        how = {"word": "wait", "then": "fail", "link": True, "on_parent_end": "continue"}
        await tl.start(parent, how)
        await tl.settle()
        [child] = await of(tl, "worker")
        assert child["status"] == "cancelled"
        assert "the linked run" in child["error"]["message"]
        await sound(tl)


async def test_whoever_completes_leaves_a_linked_run_alone(exchange: ExchangeFactory) -> None:
    async with exchange(app) as tl:
        run = await tl.start(parent, {"word": "hello", "then": "hold", "link": True}, key="p")
        await tl.settle()
        assert await run.status() == "waiting"
        await tl.signal(parent, "p", "go", "on")
        assert await run.result() == {"held": "on"}
        await sound(tl)


async def test_many_pairs_at_once(exchange: ExchangeFactory) -> None:
    """Children end in the commits in which they are watched: nobody waits for the supervisor's look."""
    async with exchange(app, agents=2, settings=UNHURRIED) as tl:
        runs = await asyncio.gather(*[tl.start(parent, {"word": f"p{n}"}) for n in range(40)])
        assert [(await run.result())["output"] for run in runs] == [f"P{n}" for n in range(40)]
        await sound(tl)
