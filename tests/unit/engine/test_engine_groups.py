"""gather, map, race and branches: order, keys, failures, and what becomes of those that lose."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.domain.errors import BadDeclaration, StepError, ToolFailed
from trunkline.engine.branches import Loop
from trunkline.engine.replay import RunDriver
from unit.engine.driving import Driven, sleep, tool, wait


async def twice(driver: RunDriver, name: str) -> Any:
    return [await tool(driver, name), await tool(driver, name)]


def test_gather_gives_values_in_order_whatever_came_first() -> None:
    async def handler(driver: RunDriver) -> Any:
        return await driver.gather([tool(driver, "a"), tool(driver, "b"), tool(driver, "c")])

    run = Driven(handler)
    assert run.begun == ["asks tool:a#1", "asks tool:b#1", "asks tool:c#1"]
    assert run.complete("tool:c#1", 3) == []
    assert run.complete("tool:a#1", 1) == []
    assert run.complete("tool:b#1", 2) == ["completes"]
    assert run.output == [1, 2, 3]


def test_coroutines_become_branches_with_keys_of_their_own() -> None:
    async def handler(driver: RunDriver) -> Any:
        values = await driver.gather([twice(driver, "a"), tool(driver, "a"), twice(driver, "a")])
        return [*values, await tool(driver, "a")]

    run = Driven(handler)
    assert run.begun == ["asks tool:a#1", "asks gather#1.0/tool:a#1", "asks gather#1.2/tool:a#1"]
    assert run.complete("gather#1.2/tool:a#1", 1) == ["asks gather#1.2/tool:a#2"]
    for key, value in [("gather#1.2/tool:a#2", 2), ("gather#1.0/tool:a#1", 3), ("tool:a#1", 4)]:
        run.complete(key, value)
    assert run.complete("gather#1.0/tool:a#2", 5) == ["asks tool:a#2"]
    run.complete("tool:a#2", 6)
    assert run.output == [[3, 5], 4, [1, 2], 6]


def test_groups_nest() -> None:
    async def inner(driver: RunDriver) -> Any:
        return list(await driver.gather([twice(driver, "x"), twice(driver, "y")]))

    async def handler(driver: RunDriver) -> Any:
        return await driver.gather([inner(driver), inner(driver)])

    run = Driven(handler)
    assert run.begun == [f"asks gather#1.{i}/gather#1.{j}/tool:{name}#1" for i in (0, 1) for j, name in enumerate("xy")]


def test_empty_groups_are_done_at_once() -> None:
    async def handler(driver: RunDriver) -> Any:
        return [await driver.gather([]), await driver.map(twice, [], 3), await driver.map(twice, [])]

    assert Driven(handler).output == [[], [], []]


def test_the_first_failure_ends_a_gather_and_cancels_the_others() -> None:
    async def handler(driver: RunDriver) -> Any:
        with pytest.raises(ToolFailed) as failed:
            await driver.gather([twice(driver, "a"), tool(driver, "b"), tool(driver, "c"), wait(driver, "s")])
        return [failed.value.message, await tool(driver, "after")]

    run = Driven(handler)
    run.complete("gather#1.0/tool:a#1")
    assert run.fail("tool:c#1", message="c broke") == [
        "drops tool:b#1", "drops wait:s#1", "drops gather#1.0/tool:a#2", "asks tool:after#1",
    ]  # fmt: skip
    run.complete("tool:after#1", 1)
    assert run.output == ["c broke", 1]


def test_a_branch_that_raises_ends_its_gather_with_its_own_error() -> None:
    async def broken() -> None:
        raise LookupError("mine")

    async def handler(driver: RunDriver) -> str:
        with pytest.raises(LookupError, match="mine"):
            await driver.gather([twice(driver, "a"), broken(), twice(driver, "b")])
        return "told"

    assert Driven(handler).begun == ["asks gather#1.0/tool:a#1", "drops gather#1.0/tool:a#1", "completes"]


def test_a_cancelled_handle_says_so() -> None:
    async def handler(driver: RunDriver) -> Any:
        step = tool(driver, "slow")
        await driver.race([sleep(driver), step])
        with pytest.raises(StepError) as cancelled:
            await step
        return [type(cancelled.value).__name__, cancelled.value.type]

    run = Driven(handler)
    assert run.complete("sleep:sleep#1") == ["drops tool:slow#1", "completes"]
    assert run.output == ["StepError", "Cancelled"]


def test_a_race_gives_the_first_and_cancels_the_rest() -> None:
    async def handler(driver: RunDriver) -> Any:
        race = driver.race(
            [twice(driver, "a"), tool(driver, "b"), driver.gather([twice(driver, "c"), tool(driver, "d")])]
        )
        return [await race, race.winner]

    run = Driven(handler)
    run.complete("gather#1.0/tool:c#1")
    run.complete("race#1.0/tool:a#1", 1)
    assert run.complete("race#1.0/tool:a#2", 2) == [
        "drops tool:b#1", "drops tool:d#1", "drops gather#1.0/tool:c#2", "completes",
    ]  # fmt: skip
    assert run.output == [[1, 2], 0]


def test_a_race_may_be_won_by_a_failure() -> None:
    async def handler(driver: RunDriver) -> Any:
        with pytest.raises(ToolFailed):
            await driver.race([tool(driver, "a"), tool(driver, "b")])
        return "told"

    assert Driven(handler).fail("tool:a#1") == ["drops tool:b#1", "completes"]


def test_a_failed_race_fails_the_gather_around_it() -> None:
    async def handler(driver: RunDriver) -> Any:
        race = driver.race([tool(driver, "a"), tool(driver, "b")])
        with pytest.raises(ToolFailed):
            await driver.gather([race, tool(driver, "c")])
        return "told"

    assert Driven(handler).fail("tool:a#1") == ["drops tool:b#1", "drops tool:c#1", "completes"]


def test_a_race_that_is_decided_at_once_starts_nobody() -> None:
    async def handler(driver: RunDriver) -> Any:
        done = driver.schedule("emit", "e", {})
        return await driver.race([twice(driver, "a"), done, tool(driver, "b")])

    run = Driven(handler)
    assert run.begun == ["asks emit:e#1", "has emit:e#1", "asks tool:b#1", "drops tool:b#1", "completes"]


def test_a_race_of_nothing_is_refused() -> None:
    async def handler(driver: RunDriver) -> Any:
        with pytest.raises(BadDeclaration, match="nothing to race"):
            driver.race([])

    assert Driven(handler).begun == ["completes"]


@pytest.mark.parametrize("what", [5, "text", None, iter([])])
def test_only_handles_and_coroutines_may_be_grouped(what: Any) -> None:
    async def handler(driver: RunDriver) -> Any:
        with pytest.raises(BadDeclaration, match="cannot be awaited"):
            driver.gather([twice(driver, "a"), what])  # the coroutine is closed: no warning that it never ran

    assert Driven(handler).begun == ["completes"]


def test_map_keeps_to_its_concurrency_and_its_order() -> None:
    async def handler(driver: RunDriver) -> Any:
        return await driver.map(lambda item: tool(driver, "t", {"item": item}), ["w", "x", "y", "z"], 2)

    run = Driven(handler)
    assert run.begun == ["asks map#1.0/tool:t#1", "asks map#1.1/tool:t#1"]
    assert run.complete("map#1.1/tool:t#1", "X") == ["asks map#1.2/tool:t#1"]
    assert run.complete("map#1.2/tool:t#1", "Y") == ["asks map#1.3/tool:t#1"]
    assert run.complete("map#1.0/tool:t#1", "W") == []
    assert run.complete("map#1.3/tool:t#1", "Z") == ["completes"]
    assert run.output == ["W", "X", "Y", "Z"]


def test_map_fails_as_gather_does_and_starts_no_more() -> None:
    async def handler(driver: RunDriver) -> Any:
        with pytest.raises(ToolFailed):
            await driver.map(lambda item: tool(driver, "t"), range(5), 2)
        return "told"

    run = Driven(handler)
    run.complete("map#1.0/tool:t#1")
    assert run.fail("map#1.1/tool:t#1") == ["drops map#1.2/tool:t#1", "completes"]


def test_map_opens_no_branch_for_the_function_itself_to_misuse() -> None:
    async def handler(driver: RunDriver) -> Any:
        with pytest.raises(TypeError):
            await driver.map(lambda item: item, [1, 2])  # type: ignore[arg-type,return-value]
        with pytest.raises(BadDeclaration, match="below 1"):
            driver.map(lambda item: tool(driver), [1], 0)
        return "told"

    assert Driven(handler).output == "told"


def test_a_named_branch_runs_beside_its_parent() -> None:
    async def handler(driver: RunDriver) -> Any:
        branch = driver.branch("approved:refund", twice(driver, "refund"))
        other = tool(driver, "other")
        return [await other, await branch]

    run = Driven(handler)
    assert run.begun == ["asks tool:other#1", "asks approved:refund#1/tool:refund#1"]
    run.complete("approved:refund#1/tool:refund#1", 1)
    run.complete("approved:refund#1/tool:refund#2", 2)
    run.complete("tool:other#1", 3)
    assert run.output == [3, [1, 2]]


def test_a_handle_may_have_many_waiters() -> None:
    async def look(step: Any, seen: list[str], name: str) -> None:
        await step
        seen.append(name)

    async def handler(driver: RunDriver) -> Any:
        seen: list[str] = []
        step = tool(driver)
        await driver.gather([look(step, seen, "x"), look(step, seen, "y"), step, step])
        return seen

    run = Driven(handler)
    assert run.complete("tool:a#1") == ["completes"]
    assert run.output == ["x", "y"]


def test_a_loser_cleans_up_but_may_ask_for_nothing() -> None:
    seen: list[str] = []

    async def loser(driver: RunDriver) -> None:
        try:
            await tool(driver, "slow")
        finally:
            seen.append("cleaning")
            try:
                await driver.gather([tool(driver, "more"), twice(driver, "more")])
            except Exception as error:  # noqa: BLE001
                seen.append(type(error).__name__)

    async def handler(driver: RunDriver) -> Any:
        await driver.race([loser(driver), sleep(driver)])
        return list(seen)

    run = Driven(handler)
    assert run.complete("sleep:sleep#1") == ["drops race#1.0/tool:slow#1", "completes"]
    assert run.output == ["cleaning", "ContextClosed"]


def test_a_branch_that_cancels_its_own_group_is_closed_when_it_waits() -> None:
    async def suicidal(driver: RunDriver, groups: list[Any]) -> None:
        await tool(driver, "first")
        await driver.race([driver.schedule("emit", "e", {}), groups[0]])  # groups[0] holds this very branch
        await tool(driver, "second")

    async def handler(driver: RunDriver) -> Any:
        groups: list[Any] = []
        groups.append(driver.gather([suicidal(driver, groups), tool(driver, "other")]))
        with pytest.raises(StepError, match="Cancelled"):
            await groups[0]
        return "told"

    run = Driven(handler)
    assert run.complete("gather#1.0/tool:first#1") == [
        "asks gather#1.0/emit:e#1", "has gather#1.0/emit:e#1", "drops tool:other#1",
        "asks gather#1.0/tool:second#1", "drops gather#1.0/tool:second#1", "completes",
    ]  # fmt: skip


def test_branches_may_be_nested_only_so_deeply() -> None:
    async def deeper(driver: RunDriver) -> None:
        await driver.gather([deeper(driver)])

    async def handler(driver: RunDriver) -> None:
        await deeper(driver)

    assert "too deeply" in Driven(handler).error["message"]


class Counted(dict[Any, Any]):
    """Counts what is looked through."""

    looked_at = 0

    def __iter__(self) -> Any:
        Counted.looked_at += len(self)
        return super().__iter__()

    def values(self) -> Any:
        Counted.looked_at += len(self)
        return super().values()


@pytest.mark.parametrize("races", [50, 200])
def test_closing_a_few_branches_looks_at_no_others(races: int, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = Loop.begin

    def counted(loop: Loop, *arguments: Any) -> None:
        loop.branches, loop.ledger.open = Counted(), Counted()
        begin(loop, *arguments)

    async def asks(driver: RunDriver, name: str) -> Any:
        return await tool(driver, name)

    async def race(driver: RunDriver) -> Any:
        return await driver.race([asks(driver, "a"), asks(driver, "b")])

    async def handler(driver: RunDriver) -> Any:
        return len(await driver.gather([race(driver) for _ in range(races)]))

    monkeypatch.setattr(Loop, "begin", counted)
    monkeypatch.setattr(Counted, "looked_at", 0)
    run = Driven(handler)
    for place in range(races):
        run.complete(f"gather#1.{place}/race#1.0/tool:a#1")
    assert run.output == races
    assert Counted.looked_at < 4 * races
