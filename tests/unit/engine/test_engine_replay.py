"""Replay: what it rebuilds, what it takes over from the journal, and how it tells that the code has changed."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.domain.errors import Diverged
from trunkline.domain.journal import (
    Entry,
    RunCancelled,
    RunCompleted,
    RunParked,
    RunResumed,
    StepCompleted,
    StepFailed,
    StepRetried,
    StepScheduled,
    StepStarted,
)
from trunkline.engine.replay import RunDriver
from unit.engine.driving import STARTED, Driven, Handler, returning, sleep, told, tool, wait


def replay(journal: list[Entry], handler: Handler) -> RunDriver:
    return RunDriver.replay(journal, returning(handler), agent="agent")


def difference(journal: list[Entry], handler: Handler) -> str:
    with pytest.raises(Diverged) as diverged:
        replay(journal, handler)
    assert str(diverged.value).startswith("The code no longer does what the journal of run run recorded: ")
    return str(diverged.value.fields["difference"])


async def refund(driver: RunDriver) -> Any:
    await tool(driver, "check", {"sku": "x", "list": [1, {"deep": 2}]})
    return await tool(driver, "refund", {"cents": 100})


def journal_of(handler: Handler, *outcomes: str) -> list[Entry]:
    run = Driven(handler)
    for key in outcomes:
        run.complete(key, {"of": key})
    journal = run.journal
    run.driver.close()
    return journal


def test_a_replay_stands_where_the_run_stood_and_goes_on() -> None:
    journal = journal_of(refund, "tool:check#1")
    driver = replay(journal, refund)
    assert driver.take_commands() == []
    assert list(driver.open_steps) == ["tool:refund#1"]
    assert driver.now == 101.0
    assert driver.deliver(StepCompleted("run", key="tool:refund#1", value="done", at=102.0))
    assert driver.take_commands() == [RunCompleted("run", output="done")]


def test_commands_that_the_journal_does_not_have_are_new() -> None:
    async def both(driver: RunDriver) -> Any:
        return await driver.gather([tool(driver, "a"), tool(driver, "b"), wait(driver, "s")])

    journal = journal_of(both)
    driver = replay(journal[:2], both)
    assert told(driver.take_commands()) == ["asks tool:b#1", "asks wait:s#1"]
    driver.close()


def test_a_replay_of_the_whole_journal_has_ended() -> None:
    journal = journal_of(refund, "tool:check#1", "tool:refund#1")
    driver = replay(journal, refund)
    assert driver.ended
    assert driver.take_commands() == []
    assert not driver.deliver(journal[2])


def test_an_open_step_keeps_what_was_recorded_of_it() -> None:
    def asking(timeout: float) -> Handler:
        async def handler(driver: RunDriver) -> Any:
            return await tool(driver, options={"timeout": timeout}, payload={"now": timeout})

        return handler

    driver = replay(journal_of(asking(1.0)), asking(2.0))
    step = driver.open_steps["tool:a#1"]
    assert step.scheduled.options == {"timeout": 1.0}
    assert driver.payload("tool:a#1") == {"now": 2.0}
    driver.close()


def test_attempts_permits_and_parking_are_taken_over() -> None:
    journal = journal_of(refund)
    permit = StepStarted("run", key="tool:check#1", attempt=2, execution="e", worker="w", begin_by=1.0)
    journal += [
        StepRetried("run", key="tool:check#1", attempt=2, reason="failed"),
        permit,
        RunParked("run", reason="outcome-unknown", detail=""),
        RunResumed("run", by="late outcome", at=150.0),
    ]
    driver = replay(journal, refund)
    step = driver.open_steps["tool:check#1"]
    assert (step.attempt, step.started) == (2, permit)
    driver.close()


def test_an_outcome_that_was_ignored_is_ignored_again() -> None:
    journal = journal_of(refund, "tool:check#1")
    journal.append(StepFailed("run", key="tool:check#1", error={"type": "Late", "message": ""}, at=500.0))
    driver = replay(journal, refund)
    assert driver.now == 101.0
    driver.close()


def test_a_parked_run_may_be_ended_from_outside() -> None:
    journal = journal_of(refund)
    journal += [RunParked("run", reason="diverged", detail=""), RunCancelled("run", reason="by hand")]
    driver = replay(journal, refund)
    assert driver.ended
    assert driver.take_commands() == []
    assert "the cancelled end of the run" in difference([*journal[:2], journal[-1]], refund)


def test_a_journal_begins_with_its_start() -> None:
    with pytest.raises(TypeError, match="begins with RunStarted"):
        replay(journal_of(refund)[1:], refund)


# --- changed code ---------------------------------------------------------------------------------------------------


def test_changed_arguments_are_told_by_the_first_difference() -> None:
    def checking(args: Any) -> Handler:
        async def handler(driver: RunDriver) -> Any:
            return await tool(driver, "check", args)

        return handler

    journal = journal_of(refund)
    told_by = {
        "step tool:check#1: args.sku was \"x\", and is \"y\" now": {"sku": "y", "list": [1, {"deep": 2}]},
        "step tool:check#1: args.list.1.deep was 2, and is 3 now": {"sku": "x", "list": [1, {"deep": 3}]},
        "step tool:check#1: args.list was [1,{\"deep\":2}], and is [1] now": {"sku": "x", "list": [1]},
        "step tool:check#1: args.list was [1,{\"deep\":2}], and is not there now": {"sku": "x"},
        "step tool:check#1: args.more was not there, and is 5 now": {"sku": "x", "list": [1, {"deep": 2}], "more": 5},
    }  # fmt: skip
    for text, args in told_by.items():
        assert difference(journal, checking(args)) == text


def test_long_values_are_cut() -> None:
    async def handler(driver: RunDriver) -> Any:
        return await tool(driver, "check", "x" * 10_000)

    assert len(difference(journal_of(refund), handler)) < 400


def test_another_step_is_told_by_both() -> None:
    async def other(driver: RunDriver) -> Any:
        return await tool(driver, "other", {"a": 1})

    assert difference(journal_of(refund), other) == (
        'the journal has step tool:check#1 with {"sku":"x","list":[1,{"deep":2}]}, '
        'where the code now comes to step tool:other#1 with {"a":1}'
    )


def test_another_kind_or_name_under_a_chosen_key_is_told() -> None:
    def asking(name: str) -> Handler:
        async def handler(driver: RunDriver) -> Any:
            return await tool(driver, name, key="mine")

        return handler

    assert difference(journal_of(asking("a")), asking("b")) == (
        "step tool@mine: it was tool 'a', and the code now asks for tool 'b'"
    )


def test_an_ask_of_another_instance_is_told() -> None:
    def asking(key: str) -> Handler:
        async def handler(driver: RunDriver) -> Any:
            return await driver.schedule("agent", "triage", {}, options={"agent": "triage", "key": key})

        return handler

    assert difference(journal_of(asking("42")), asking("43")) == ('step agent:triage#1: key was "42", and is "43" now')


def test_code_that_asks_for_less_or_more_is_told() -> None:
    async def less(driver: RunDriver) -> Any:
        await tool(driver, "check", {"sku": "x", "list": [1, {"deep": 2}]})
        await sleep(driver)

    async def nothing(driver: RunDriver) -> Any:
        await tool(driver, "check", {"sku": "x", "list": [1, {"deep": 2}]})

    async def more(driver: RunDriver) -> Any:
        tool(driver, "extra")
        return await refund(driver)

    async def later(driver: RunDriver) -> Any:
        await tool(driver, "check", {"sku": "x", "list": [1, {"deep": 2}]})
        step = tool(driver, "refund", {"cents": 100})
        await driver.gather([tool(driver, "extra"), step])

    journal = journal_of(refund, "tool:check#1", "tool:refund#1")
    assert "where the code now comes to step sleep:sleep#1" in difference(journal, less)
    assert "where the code now comes to the end of the run with output null" in difference(journal, nothing)
    assert "where the code now comes to step tool:extra#1" in difference(journal, more)
    assert difference(journal, later) == (
        "the journal has the outcome of step tool:refund#1, where the code now comes to step tool:extra#1 with null"
    )


def test_code_that_waits_longer_is_told() -> None:
    async def waits(driver: RunDriver) -> Any:
        await refund(driver)
        await driver.gather([sleep(driver), wait(driver, "s")])

    async def both(driver: RunDriver) -> Any:
        step = tool(driver, "x")
        await tool(driver, "check", {"sku": "x", "list": [1, {"deep": 2}]})
        await step
        return await tool(driver, "refund", {"cents": 100})

    async def early(driver: RunDriver) -> Any:
        tool(driver, "x")
        return await refund(driver)

    ended = journal_of(refund, "tool:check#1", "tool:refund#1")
    assert "has the end of the run with output" in difference(ended, waits)
    assert difference(journal_of(early, "tool:check#1"), both) == (
        'the journal has step tool:refund#1 with {"cents":100}, where the code now waits for tool:x#1'
    )


def test_code_that_fails_now_is_told_with_its_error() -> None:
    async def broken(driver: RunDriver) -> Any:
        raise LookupError("no such thing")

    assert difference(journal_of(refund), broken) == (
        'the journal has step tool:check#1 with {"sku":"x","list":[1,{"deep":2}]}, '
        "where the code now comes to the failure of the run (LookupError: no such thing)"
    )


def test_another_result_is_told_but_not_another_message_of_a_failure() -> None:
    def ending(value: Any, error: str = "") -> Handler:
        async def handler(driver: RunDriver) -> Any:
            if error:
                raise ValueError(error)
            return value

        return handler

    assert "output 2" in difference(journal_of(ending(1)), ending(2))
    replay(journal_of(ending(0, "at 0x1")), ending(0, "at 0x2"))


def test_more_code_behind_the_end_of_the_journal_is_no_divergence() -> None:
    async def longer(driver: RunDriver) -> Any:
        await refund(driver)
        return await tool(driver, "thanks")

    journal = journal_of(refund, "tool:check#1")
    driver = replay(journal, longer)
    driver.deliver(StepCompleted("run", key="tool:refund#1", value=None, at=102.0))
    assert driver.take_commands() == [StepScheduled("run", "tool:thanks#1", "tool", "thanks")]
    driver.close()


def test_a_diverged_replay_leaves_nothing_running() -> None:
    seen: list[str] = []

    async def other(driver: RunDriver) -> Any:
        try:
            await tool(driver, "other")
        finally:
            seen.append("closed")

    difference(journal_of(refund), other)
    assert seen == ["closed"]


def test_the_start_itself_is_not_checked() -> None:
    driver = replay([STARTED], refund)
    assert told(driver.take_commands()) == ["asks tool:check#1"]
    driver.close()
