"""How runs end: results, failures, cancellation, loops that never wait, and leaving memory."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel

from trunkline.domain.codec import dumps
from trunkline.domain.errors import ContextClosed, RunCancelled
from trunkline.domain.journal import RunCompleted, StepCompleted
from trunkline.engine.replay import RunDriver, RunResult
from unit.engine.driving import STARTED, Driven, sleep, tool, wait


class Verdict(BaseModel):
    cents: int


@dataclass
class Odd:
    value: Any


def test_a_run_completes_with_output_state_and_conversation() -> None:
    async def body(driver: RunDriver) -> RunResult:
        said = [{"role": "user", "content": "hi"}]
        return RunResult(output=Verdict(cents=5), state={"when": datetime(2026, 1, 1, tzinfo=UTC)}, conversation=said)

    driver = RunDriver(STARTED, body, agent="agent")
    driver.start()
    assert driver.take_commands() == [
        RunCompleted(
            "run",
            output={"cents": 5},
            state={"when": "2026-01-01T00:00:00Z"},
            conversation=[{"role": "user", "content": "hi"}],
        )
    ]
    assert driver.ended
    assert not driver.waiting


@pytest.mark.parametrize("value", [object(), float("nan"), "a\x00b", "\ud800", {"x": [10**5000]}, Odd(lambda: None)])
def test_a_result_that_cannot_be_recorded_fails_the_run(value: Any) -> None:
    async def handler(driver: RunDriver) -> Any:
        return value

    error = Driven(handler).error
    assert error["type"] == "NotJson"
    assert error["message"].startswith("the output of agent cannot be encoded")


def test_a_handler_that_raises_fails_the_run_without_a_traceback() -> None:
    async def handler(driver: RunDriver) -> None:
        tool(driver, "open"), sleep(driver)
        raise LookupError("no such order")

    run = Driven(handler)
    assert run.begun[2:] == ["drops tool:open#1", "drops sleep:sleep#1", "fails LookupError"]
    assert run.error == {"type": "LookupError", "message": "no such order", "retryable": False}


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), MemoryError(), RecursionError("deep")])
def test_nothing_that_a_handler_raises_gets_out(error: BaseException) -> None:
    async def handler(driver: RunDriver) -> None:
        raise error

    assert Driven(handler).error["type"] == type(error).__name__


def test_a_keyboard_interrupt_is_not_the_handlers() -> None:
    async def handler(driver: RunDriver) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Driven(handler)


def test_messages_are_made_fit_for_the_journal() -> None:
    class Unspeakable(Exception):
        def __str__(self) -> str:
            raise ValueError

    async def long(driver: RunDriver) -> None:
        raise ValueError("a\x00b\ud800" + "x" * 10_000)

    async def unspeakable(driver: RunDriver) -> None:
        raise Unspeakable

    message = Driven(long).error["message"]
    dumps(message)
    assert len(message) == 2000
    assert Driven(unspeakable).error == {"type": "Unspeakable", "message": "", "retryable": False}


def test_a_body_that_is_no_coroutine_fails_the_run() -> None:
    def broken(driver: RunDriver) -> Any:
        raise LookupError("at once")

    driver = RunDriver(STARTED, broken, agent="agent")
    driver.start()
    assert [entry.body() for entry in driver.take_commands()] == [
        {"error": {"type": "LookupError", "message": "at once", "retryable": False}}
    ]


def test_an_ended_run_takes_nothing_more() -> None:
    async def handler(driver: RunDriver) -> Any:
        tool(driver)

    run = Driven(handler)
    assert run.begun == ["asks tool:a#1", "drops tool:a#1", "completes"]
    assert not run.driver.deliver(StepCompleted("run", key="tool:a#1", value=1, at=1.0))
    with pytest.raises(ContextClosed):
        tool(run.driver)
    with pytest.raises(ContextClosed):
        run.driver.uuid()


# --- cancellation ---------------------------------------------------------------------------------------------------


def test_a_cancelled_handler_that_lets_it_pass_is_cancelled() -> None:
    async def handler(driver: RunDriver) -> None:
        with suppress(Exception):  # the cancellation is none
            await driver.gather([wait(driver, "s"), tool(driver)])

    assert Driven(handler).cancel("enough") == ["drops wait:s#1", "drops tool:a#1", "is cancelled: enough"]


def test_a_cancelled_handler_may_clean_up_with_steps() -> None:
    async def branch(driver: RunDriver) -> None:
        await tool(driver, "inner")

    async def handler(driver: RunDriver) -> None:
        mine = tool(driver, "mine")
        try:
            await driver.gather([branch(driver), branch(driver)])
        finally:
            await tool(driver, "undo")
            await mine  # its own open steps go on

    run = Driven(handler)
    assert run.cancel() == ["drops gather#1.0/tool:inner#1", "drops gather#1.1/tool:inner#1", "asks tool:undo#1"]
    assert run.complete("tool:undo#1") == []
    assert run.complete("tool:mine#1") == ["is cancelled: enough"]


def test_a_handler_may_go_on_after_a_cancellation_and_be_cancelled_again() -> None:
    async def handler(driver: RunDriver) -> Any:
        try:
            await tool(driver, "a")
        except RunCancelled as cancelled:
            return [cancelled.reason, await tool(driver, "b")]

    run = Driven(handler)
    assert run.cancel("first") == ["asks tool:b#1"]
    assert run.cancel("second") == ["drops tool:a#1", "drops tool:b#1", "is cancelled: second"]


def test_a_cancelled_handler_may_return_or_raise_something_else() -> None:
    async def returns(driver: RunDriver) -> Any:
        try:
            await tool(driver)
        except RunCancelled:
            return "kept"

    async def raises(driver: RunDriver) -> None:
        try:
            await tool(driver)
        finally:
            raise LookupError

    assert Driven(returns).cancel() == ["drops tool:a#1", "completes"]
    assert Driven(raises).cancel() == ["drops tool:a#1", "fails LookupError"]


# --- loops and dead ends --------------------------------------------------------------------------------------------


async def emits(driver: RunDriver) -> None:
    await driver.schedule("emit", "e", {})


async def asks(driver: RunDriver) -> None:
    tool(driver)


async def gathers(driver: RunDriver) -> None:
    await driver.gather([])


async def branches(driver: RunDriver) -> None:
    driver.branch("b", asks(driver))


async def maps(driver: RunDriver) -> None:
    driver.map(lambda item: tool(driver), [1])


@pytest.mark.parametrize("act", [emits, asks, gathers, branches, maps])
@pytest.mark.parametrize("stubborn", [False, True])
def test_a_handler_that_goes_on_for_ever_is_stopped(act: Callable[[RunDriver], Any], *, stubborn: bool) -> None:
    async def handler(driver: RunDriver) -> None:
        while True:
            try:
                await act(driver)
            except Exception:
                if not stubborn:
                    raise

    run = Driven(handler)
    assert run.error["type"] == "TooManySteps"
    assert len(run.journal) <= 20_003
    assert not run.driver.open_steps


def test_a_wide_map_is_stopped_too_but_a_narrow_one_may_be_long() -> None:
    def over(width: int | None) -> Any:
        async def handler(driver: RunDriver) -> Any:
            return len(await driver.map(lambda item: tool(driver), range(12_000), width))

        return handler

    assert Driven(over(None)).error["type"] == "TooManySteps"
    run = Driven(over(2))
    place = 0
    while not run.driver.ended:
        run.complete(f"map#1.{place}/tool:a#1")
        place += 1
    assert run.output == 12_000


def test_the_room_is_for_each_delivery() -> None:
    async def handler(driver: RunDriver) -> Any:
        for _ in range(3):
            for _ in range(6_000):
                await emits(driver)
            await tool(driver)

    run = Driven(handler)
    for number in (1, 2, 3):
        run.complete(f"tool:a#{number}")
    assert run.output is None


def test_a_handler_that_waits_for_itself_fails() -> None:
    async def inner(driver: RunDriver, groups: list[Any]) -> None:
        await tool(driver)
        await groups[0]

    async def handler(driver: RunDriver) -> None:
        groups: list[Any] = []
        groups.append(driver.gather([inner(driver, groups)]))
        await groups[0]

    assert Driven(handler).complete("gather#1.0/tool:a#1") == ["fails WaitsForItself"]


# --- leaving memory -------------------------------------------------------------------------------------------------


def test_passivation_journals_nothing_and_closes_the_context() -> None:
    seen: list[str] = []

    async def inner(driver: RunDriver) -> None:
        try:
            await tool(driver, "inner")
        finally:
            seen.append("inner")
            await sleep(driver)

    async def handler(driver: RunDriver) -> None:
        try:
            await driver.gather([inner(driver), wait(driver, "s")])
        except BaseException as error:
            seen.append(type(error).__name__)
            try:
                await tool(driver, "more")
            except ContextClosed:
                seen.append("closed")
            raise

    run = Driven(handler)
    run.driver.close()
    run.driver.close()
    assert seen == ["inner", "Closing", "closed"]
    assert run.driver.take_commands() == []
    assert not run.driver.waiting
    assert not run.driver.deliver(StepCompleted("run", key="tool:inner#1", value=1, at=1.0))
    with pytest.raises(ContextClosed):
        tool(run.driver)


def test_a_clean_up_that_never_gives_up_does_not_hold_the_worker() -> None:
    async def again(driver: RunDriver) -> None:
        try:
            await tool(driver)
        finally:
            while True:
                try:
                    await tool(driver, "undo")
                    break
                except Exception:  # noqa: BLE001
                    continue

    run = Driven(again)
    run.driver.close()
    assert run.driver.take_commands() == []


def test_a_clean_up_that_awaits_is_closed_all_the_same() -> None:
    async def handler(driver: RunDriver) -> None:
        step = tool(driver)
        for _ in range(50):
            try:
                await step
            except BaseException:  # noqa: BLE001
                continue

    Driven(handler).driver.close()  # no warning of a coroutine that ignored its end


@pytest.mark.parametrize("ended", [True, False])
def test_a_run_that_is_over_is_freed_at_once(*, ended: bool) -> None:
    class Big:
        pass

    big = Big()
    alive = weakref.ref(big)

    async def handler(driver: RunDriver, held: Any = big) -> None:
        await driver.gather([tool(driver), tool(driver)])
        assert held

    gc.collect()
    gc.disable()
    try:
        driver = RunDriver(STARTED, handler, agent="agent")
        driver.start()
        if ended:
            for number in (1, 2):
                driver.deliver(StepCompleted("run", key=f"tool:a#{number}", value=None, at=1.0))
        else:
            driver.close()
        del driver, handler, big
        assert alive() is None
    finally:
        gc.enable()


def test_steps_count_once_however_they_are_gathered() -> None:
    async def handler(driver: RunDriver) -> Any:
        return len(await driver.gather([tool(driver) for _ in range(9_000)]))

    run = Driven(handler)
    for number in range(1, 9_001):
        run.complete(f"tool:a#{number}")
    assert run.output == 9_000


def test_groups_of_the_same_steps_again_and_again_are_stopped() -> None:
    made = 0

    async def handler(driver: RunDriver) -> None:
        nonlocal made
        steps = [tool(driver) for _ in range(1_000)]
        while True:
            driver.gather(steps)
            made += 1

    assert Driven(handler).error["type"] == "TooManySteps"
    assert made < 10
