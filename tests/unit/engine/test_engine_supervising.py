"""Spawned runs and monitors under a driver, and waiting for the first of many without giving up the others."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.domain.errors import BadDeclaration
from trunkline.domain.ids import child_run_id
from trunkline.engine.branch import Branch
from trunkline.engine.replay import RunDriver, Step
from unit.engine.driving import Driven, sleep, tool


def monitor(driver: RunDriver, run: str) -> Step[Any]:
    return driver.schedule("monitor", "run", {"run": run})


def test_a_spawned_run_is_certain_as_soon_as_it_is_recorded() -> None:
    async def handler(driver: RunDriver) -> Any:
        return [await driver.schedule("spawn", "a", 1), await driver.schedule("spawn", "a", 2)]

    run = Driven(handler)
    assert run.begun == ["asks spawn:a#1", "has spawn:a#1", "asks spawn:a#2", "has spawn:a#2", "completes"]
    assert run.output == [child_run_id("run", f"spawn:a#{place}") for place in (1, 2)]


def test_who_only_watches_may_leave_memory() -> None:
    async def handler(driver: RunDriver) -> Any:
        await driver.gather([monitor(driver, "x"), sleep(driver)])
        return await tool(driver)

    run = Driven(handler)
    assert run.driver.waiting
    run.complete("monitor:run#1")
    run.complete("sleep:sleep#1")
    assert not run.driver.waiting


def test_the_first_leaves_the_others_open() -> None:
    async def handler(driver: RunDriver) -> Any:
        steps = [monitor(driver, "x"), monitor(driver, "y"), tool(driver)]
        seen = []
        for _ in steps:
            await driver.first([step for step in steps if not step.done])
            seen.append([step.done for step in steps])
        return seen

    run = Driven(handler)
    assert run.complete("monitor:run#2") == []
    assert run.fail("tool:a#1") == []  # a failure is none of its own
    assert run.complete("monitor:run#1") == ["completes"]
    assert run.output == [[False, True, False], [False, True, True], [True, True, True]]


def test_of_what_is_done_already_nothing_is_waited_for() -> None:
    async def handler(driver: RunDriver) -> Any:
        steps = [tool(driver, "a"), tool(driver, "b")]
        await steps[0]
        await driver.first(steps)
        return steps[1].done

    assert Driven(handler).complete("tool:a#1") == ["drops tool:b#1", "completes"]


def test_a_step_that_goes_on_for_long_does_not_remember_who_looked_away() -> None:
    kept: list[Step[Any]] = []

    async def handler(driver: RunDriver) -> Any:
        kept.append(monitor(driver, "x"))
        for _ in range(50):
            await driver.first([kept[0], sleep(driver)])
        return await kept[0]

    run = Driven(handler)
    for number in range(50):
        run.complete(f"sleep:sleep#{number + 1}")
    assert isinstance(kept[0].waiter, Branch)
    assert run.complete("monitor:run#1", 1) == ["completes"]


def test_where_it_loses_a_race_its_members_go_with_it() -> None:
    async def handler(driver: RunDriver) -> Any:
        return await driver.race([driver.first([monitor(driver, "x"), monitor(driver, "y")]), tool(driver)])

    assert Driven(handler).complete("tool:a#1", 1) == ["drops monitor:run#1", "drops monitor:run#2", "completes"]


def test_what_cannot_be_awaited_is_refused() -> None:
    async def handler(driver: RunDriver) -> Any:
        return await driver.first([5])  # type: ignore[list-item]

    assert Driven(handler).error["type"] == BadDeclaration.__name__


@pytest.mark.parametrize("cancelled", ["monitor:run#1", "spawn:a#1"])
def test_what_is_open_when_the_run_is_cancelled(cancelled: str) -> None:
    async def handler(driver: RunDriver) -> Any:
        await driver.schedule("spawn", "a", 1)
        return await monitor(driver, "x")

    told = Driven(handler).cancel()
    assert (f"drops {cancelled}" in told) is cancelled.startswith("monitor")
    assert told[-1] == "is cancelled: enough"
