"""Steps: their keys, their values, and what a handler sees of time and chance."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.domain.errors import AskFailed, BadDeclaration, ModelFailed, StepError, TimedOut, ToolFailed
from trunkline.domain.ids import derived_id
from trunkline.domain.journal import RunStarted, StepCompleted, StepRetried, StepScheduled, StepStarted
from trunkline.domain.status import StepKind
from trunkline.engine.replay import RunDriver
from unit.engine.driving import STARTED, Driven, sleep, tool, wait


def test_keys_count_occurrences_of_kind_and_name() -> None:
    async def handler(driver: RunDriver) -> None:
        for kind, name in [("tool", "a"), ("tool", "b"), ("tool", "a"), ("llm", "a")]:
            await driver.schedule(kind, name)

    run = Driven(handler)
    assert run.begun == ["asks tool:a#1"]
    assert run.complete("tool:a#1") == ["asks tool:b#1"]
    assert run.complete("tool:b#1") == ["asks tool:a#2"]
    assert run.complete("tool:a#2") == ["asks llm:a#1"]
    assert run.complete("llm:a#1") == ["completes"]


def test_a_key_of_ones_own_stands_for_name_and_occurrence() -> None:
    async def handler(driver: RunDriver) -> Any:
        return [await tool(driver, "a", key="mine/1"), await tool(driver, "b")]

    run = Driven(handler)
    assert run.begun == ["asks tool@mine/1"]
    assert run.complete("tool@mine/1", 1) == ["asks tool:b#1"]
    assert run.complete("tool:b#1", 2) == ["completes"]
    assert run.output == [1, 2]


@pytest.mark.parametrize("key", ["", "x" * 201, "a\x00b", 7])
def test_a_key_that_is_not_usable_is_refused(key: Any) -> None:
    async def handler(driver: RunDriver) -> None:
        await tool(driver, key=key)

    assert Driven(handler).error["type"] == "BadDeclaration"


def test_a_key_may_be_used_once_in_a_branch() -> None:
    async def again(driver: RunDriver) -> None:
        with pytest.raises(BadDeclaration, match="used before"):
            tool(driver, key="mine"), tool(driver, key="mine")

    async def handler(driver: RunDriver) -> None:
        await driver.gather([again(driver), again(driver)])
        raise LookupError

    run = Driven(handler)
    branches = ["gather#1.0/tool@mine", "gather#1.1/tool@mine"]
    assert run.begun == [f"{what} {key}" for what in ("asks", "drops") for key in branches] + ["fails LookupError"]


def test_a_step_is_recorded_with_what_was_asked() -> None:
    async def handler(driver: RunDriver) -> None:
        await tool(driver, "a", {"x": 1}, options={"app": "shop"})

    run = Driven(handler)
    assert run.journal[1] == StepScheduled("run", "tool:a#1", "tool", "a", {"x": 1}, {"app": "shop"})
    assert type(run.journal[1].kind) is str  # type: ignore[attr-defined]


def test_kinds_are_journalled_as_plain_text() -> None:
    async def handler(driver: RunDriver) -> None:
        await driver.schedule(StepKind.TOOL, "a")

    step = Driven(handler).journal[1]
    assert isinstance(step, StepScheduled)
    assert (step.key, step.kind, type(step.kind)) == ("tool:a#1", "tool", str)


def test_the_payload_is_beside_the_journal() -> None:
    prompt = {"messages": ["whole"]}

    async def handler(driver: RunDriver) -> None:
        await driver.gather([driver.schedule("llm", "m", {"added": []}, payload=prompt), tool(driver, "a", {"x": 1})])

    run = Driven(handler)
    assert run.driver.payload("llm:m#1") is prompt
    assert run.driver.payload("tool:a#1") == {"x": 1}
    assert "whole" not in str(run.journal)


def test_a_value_is_decoded_once_when_it_is_awaited() -> None:
    decoded: list[Any] = []

    def decode(value: Any) -> str:
        decoded.append(value)
        return f"<{value}>"

    async def handler(driver: RunDriver) -> Any:
        step = tool(driver, decode=decode)
        first = await step
        return [first, await step, step.result()]

    run = Driven(handler)
    run.complete("tool:a#1", 5)
    assert run.output == ["<5>"] * 3
    assert decoded == [5]


def test_a_value_that_cannot_be_decoded_raises_where_it_is_awaited() -> None:
    async def handler(driver: RunDriver) -> str:
        try:
            await tool(driver, decode=int)
        except ValueError:
            return "told"
        return "not told"

    run = Driven(handler)
    run.complete("tool:a#1", "five")
    assert run.output == "told"


def test_what_a_handler_changes_is_not_changed_in_the_journal() -> None:
    async def handler(driver: RunDriver) -> Any:
        got = await tool(driver)
        got["list"].append("mine")
        asked = driver.input
        asked["n"].append("mine")
        signal = await wait(driver, "s")
        signal.append("mine")
        return [got, asked, signal]

    given = {"list": [1]}
    run = Driven(handler, RunStarted("run", input={"n": [1]}, at=100.0, seed="seed", message_id="m"))
    run.complete("tool:a#1", given)
    run.signal("s", ["data"])
    assert run.output == [{"list": [1, "mine"]}, {"n": [1, "mine"]}, ["data", "mine"]]
    assert given == {"list": [1]}
    assert run.journal[0] == STARTED
    assert all("mine" not in str(entry) for entry in run.journal[:-1])


def test_a_step_knows_its_state() -> None:
    async def handler(driver: RunDriver) -> Any:
        step = tool(driver)
        seen = [repr(step), step.done]
        with pytest.raises(RuntimeError, match="await it"):
            step.result()
        await step
        return [*seen, repr(step), step.done, step.key]

    run = Driven(handler)
    run.complete("tool:a#1")
    assert run.output == ["<step tool:a#1 open>", False, "<step tool:a#1 done>", True, "tool:a#1"]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("tool", ToolFailed),
        ("llm", ModelFailed),
        ("agent", AskFailed),
        ("wait", TimedOut),
        ("local", StepError),
        ("sleep", StepError),
    ],
)
def test_a_failed_step_raises_by_its_kind(kind: str, error: type[StepError]) -> None:
    async def handler(driver: RunDriver) -> Any:
        step = driver.schedule(kind, "x")
        with pytest.raises(StepError) as raised:
            await step
        with pytest.raises(error):  # again, because a handle may be awaited again
            await step
        return [type(raised.value).__name__, raised.value.type, raised.value.message]

    run = Driven(handler)
    run.fail(f"{kind}:x#1", "ValueError", "no {braces} harm")
    assert run.output == [error.__name__, "ValueError", "no {braces} harm"]


def test_a_failure_that_nobody_catches_fails_the_run() -> None:
    async def handler(driver: RunDriver) -> None:
        await tool(driver, "refund")

    run = Driven(handler)
    assert run.fail("tool:refund#1", "ValueError", "broke") == ["fails ToolFailed"]
    assert run.error["message"] == "Tool step tool:refund#1 failed: ValueError: broke"


def test_an_emit_is_complete_as_soon_as_it_is_recorded() -> None:
    async def handler(driver: RunDriver) -> Any:
        return await driver.schedule("emit", "order.placed", {"type": "order.placed"})

    run = Driven(handler)
    assert run.begun == ["asks emit:order.placed#1", "has emit:order.placed#1", "completes"]
    assert run.output == derived_id("emit", "run", "emit:order.placed#1")
    assert run.journal[2] == StepCompleted("run", "emit:order.placed#1", run.output, STARTED.at)
    assert not run.driver.open_steps


def test_time_is_that_of_the_last_delivery_and_ignores_those_that_are_ignored() -> None:
    async def handler(driver: RunDriver) -> Any:
        seen = [driver.now]
        await tool(driver)
        seen.append(driver.now)
        await sleep(driver)
        return [*seen, driver.now]

    run = Driven(handler)
    run.complete("tool:a#1")
    assert not run.driver.deliver(StepCompleted("run", key="tool:a#1", value=None, at=999.0))
    run.complete("sleep:sleep#1")
    assert run.output == [100.0, 101.0, 102.0]


def test_chance_comes_from_the_seed_and_the_branch() -> None:
    async def draw(driver: RunDriver) -> Any:
        return [driver.random.random(), str(driver.uuid()), driver.random.randrange(10)]

    async def handler(driver: RunDriver) -> Any:
        return [await draw(driver), *await driver.gather([draw(driver), draw(driver)])]

    drawn = Driven(handler).output
    assert drawn == Driven(handler).output
    assert len({str(one) for one in drawn}) == 3
    other = RunStarted("run", input=None, at=100.0, seed="other", message_id="m")
    assert drawn != Driven(handler, other).output


def test_attempts_and_permits_are_noted_on_the_open_step() -> None:
    async def handler(driver: RunDriver) -> None:
        await tool(driver)

    run = Driven(handler)
    permit = StepStarted("run", key="tool:a#1", attempt=1, execution="e", worker="w", begin_by=1.0)
    assert run.driver.deliver(permit)
    assert run.driver.open_steps["tool:a#1"].started == permit
    assert run.driver.deliver(StepRetried("run", key="tool:a#1", attempt=2, reason="failed"))
    step = run.driver.open_steps["tool:a#1"]
    assert (step.attempt, step.started) == (2, None)
    run.complete("tool:a#1")
    assert not run.driver.deliver(StepRetried("run", key="tool:a#1", attempt=3, reason="failed"))
    assert not run.driver.deliver(permit)


def test_waiting_means_for_sleeps_and_signals_only() -> None:
    async def handler(driver: RunDriver) -> None:
        await tool(driver)
        await sleep(driver)
        await driver.gather([wait(driver, "s"), tool(driver)])

    run = Driven(handler)
    seen = [run.driver.waiting]
    run.complete("tool:a#1")
    seen.append(run.driver.waiting)
    run.complete("sleep:sleep#1")
    seen.append(run.driver.waiting)
    run.complete("tool:a#2")
    seen.append(run.driver.waiting)
    run.signal("s")
    seen.append(run.driver.waiting)
    assert seen == [False, True, False, True, False]
    assert run.driver.ended


def test_a_stop_iteration_of_a_decoder_is_no_value() -> None:
    def decode(_: Any) -> Any:
        raise StopIteration("not the value")

    async def handler(driver: RunDriver) -> Any:
        return await driver.schedule("tool", "a", decode=decode)

    run = Driven(handler)
    run.complete("tool:a#1", 1)
    assert run.error["type"] == "RuntimeError"
