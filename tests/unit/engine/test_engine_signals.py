"""Signals and waits: early and late, in order, with timeouts, and what is left at the end."""

from __future__ import annotations

from typing import Any

from trunkline.domain.errors import TimedOut
from trunkline.domain.journal import StepCompleted
from trunkline.engine.replay import RunDriver
from unit.engine.driving import Driven, sleep, tool, wait


def test_a_signal_answers_a_wait() -> None:
    async def handler(driver: RunDriver) -> Any:
        return [await wait(driver, "paid"), driver.now]

    run = Driven(handler)
    assert run.begun == ["asks wait:paid#1"]
    assert run.signal("paid", {"cents": 5}) == ["has wait:paid#1", "completes"]
    assert run.journal[3] == StepCompleted("run", "wait:paid#1", {"cents": 5}, 101.0)
    assert run.output == [{"cents": 5}, 101.0]


def test_an_early_signal_is_kept_and_answers_at_once() -> None:
    async def handler(driver: RunDriver) -> Any:
        await tool(driver)
        return [await wait(driver, "paid"), driver.now]

    run = Driven(handler)
    assert run.signal("paid", 1) == []
    assert run.complete("tool:a#1") == ["asks wait:paid#1", "has wait:paid#1", "completes"]
    assert run.journal[-2] == StepCompleted("run", "wait:paid#1", 1, 101.0), "at the time when it came"
    assert run.output == [1, 102.0]


def test_waits_of_one_name_are_answered_oldest_first() -> None:
    async def handler(driver: RunDriver) -> Any:
        first, second, other = wait(driver, "s"), wait(driver, "s"), wait(driver, "t")
        return [await second, await first, await other]

    run = Driven(handler)
    assert run.signal("s", 1) == ["has wait:s#1"]
    assert run.signal("t", 2) == ["has wait:t#1"]
    assert run.signal("s", 3) == ["has wait:s#2", "completes"]
    assert run.output == [3, 1, 2]


def test_buffered_signals_are_taken_oldest_first() -> None:
    async def handler(driver: RunDriver) -> Any:
        await tool(driver)
        return [await wait(driver, "s"), await wait(driver, "s")]

    run = Driven(handler)
    for data in (1, 2, 3):
        run.signal("s", data)
    run.complete("tool:a#1")
    assert run.output == [1, 2]
    assert [signal.data for signal in run.driver.leftover_signals()] == [3]


def test_what_nobody_took_is_left_over_in_the_order_in_which_it_came() -> None:
    async def handler(driver: RunDriver) -> Any:
        await wait(driver, "b")
        await tool(driver)

    run = Driven(handler)
    for name in ("a", "b", "c", "a", "b"):
        run.signal(name)
    run.complete("tool:a#1")
    assert [signal.name for signal in run.driver.leftover_signals()] == ["a", "c", "a", "b"]


def test_a_wait_may_time_out_and_the_late_signal_is_kept() -> None:
    async def handler(driver: RunDriver) -> Any:
        try:
            return await wait(driver, "s")
        except TimedOut as error:
            return [error.message, await wait(driver, "s")]

    run = Driven(handler)
    assert run.fail("wait:s#1", "TimedOut", "nothing came within 5 s") == ["asks wait:s#2"]
    run.signal("s", "late")
    assert run.output == ["nothing came within 5 s", "late"]


def test_a_wait_that_lost_its_race_takes_no_signal() -> None:
    async def handler(driver: RunDriver) -> Any:
        await driver.race([wait(driver, "s"), sleep(driver)])
        await tool(driver)
        return await wait(driver, "s")

    run = Driven(handler)
    assert run.complete("sleep:sleep#1") == ["drops wait:s#1", "asks tool:a#1"]
    assert run.signal("s", 1) == []
    run.complete("tool:a#1")
    assert run.output == 1


def test_a_signal_goes_by_its_whole_name() -> None:
    async def handler(driver: RunDriver) -> Any:
        return await wait(driver, "approve:refund/ü#1")

    run = Driven(handler)
    assert run.begun == ["asks wait:approve:refund/ü#1#1"]
    assert run.signal("approve:refund") == []
    run.signal("approve:refund/ü#1", True)
    assert run.output is True
