"""What an incarnation begins with, what may come before it does, and how its restart is decided."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from trunkline.domain.incarnation import Incarnation, latest
from trunkline.domain.journal import (
    CancelRequested,
    Entry,
    RunCancelled,
    RunCompleted,
    RunContinued,
    RunFailed,
    RunParked,
    RunRestarted,
    RunResumed,
    RunStarted,
    SignalReceived,
    StepCompleted,
)
from trunkline.domain.specs import RestartPolicy
from trunkline.domain.status import Restart
from trunkline.engine.replay import RunDriver, RunResult
from trunkline.engine.restart import as_it_ended, concluded

STARTED = RunStarted("run", input=1, at=100.0, seed="seed", message_id="event:e")
CONTINUED = RunContinued("run", input=2, at=105.0, number=2, signals=[
    {"name": "go", "data": "early", "at": 103.0, "message_id": "s1"}
])  # fmt: skip
RESTARTED = RunRestarted("run", at=110.0, number=3, delay=5.0, restarts=[110.0], error={"type": "X"})
SIGNAL = SignalReceived("run", name="go", data="between", at=106.0, message_id="s2")
CANCEL = CancelRequested("run", reason="enough", at=107.0)
FAILED = RunFailed("run", error={"type": "ValueError", "message": "no", "retryable": False})
ONCE = RestartPolicy(restart=Restart.TRANSIENT, max_restarts=1)


async def listening(driver: RunDriver) -> RunResult:
    first = await driver.schedule("wait", "go", options={"timeout": None})
    second = await driver.schedule("wait", "go", options={"timeout": None})
    return RunResult(output=[driver.started.input, first, second])


def begun(*entries: Entry) -> RunDriver:
    return RunDriver.replay([STARTED, *entries], listening, "agent")


def test_each_says_what_its_handler_begins_with() -> None:
    life, rest = latest([STARTED, CONTINUED, RESTARTED, CANCEL])
    assert rest == [CANCEL]
    assert (life.number, life.delay, life.restarts, life.prefix) == (3, 5.0, (110.0,), "@3/")
    assert (life.started.input, life.started.at, life.started.seed) == (2, 110.0, "seed")
    assert life.started.message_id == "continued:2", "its input is not the event any more"
    assert Incarnation.of(STARTED, life.body()) == life
    assert life.next(replace(CONTINUED, number=4)).restarts == (110.0,), "a round does not forgive restarts"


def test_a_signal_that_comes_before_it_begins_waits_behind_those_that_came_earlier() -> None:
    driver = begun(CONTINUED, SIGNAL)
    *_, ended = driver.take_commands()
    assert isinstance(ended, RunCompleted)
    assert ended.output == [2, "early", "between"]


def test_one_that_is_cancelled_before_it_begins_never_does() -> None:
    live = RunDriver(latest([STARTED, CONTINUED])[0], listening, agent="agent")
    assert not live.begun
    assert live.deliver(SIGNAL)
    assert live.take_commands() == []
    assert live.deliver(CANCEL)
    assert live.take_commands() == [RunCancelled("run", reason="enough")]
    assert begun(CONTINUED, SIGNAL, CANCEL).take_commands() == [RunCancelled("run", reason="enough")]
    assert begun(CONTINUED, SIGNAL, CANCEL, RunCancelled("run", reason="enough")).ended


def test_one_that_is_parked_before_it_begins_may_be_ended_or_go_on() -> None:
    parked = RunParked("run", reason="kills-its-worker", detail="")
    assert begun(CONTINUED, parked, RunCancelled("run", reason="by hand")).ended
    assert begun(CONTINUED, parked, RunResumed("run", by="x", at=108.0)).open_steps.keys() == {"@2/wait:go#2"}


def test_after_a_restart_it_sleeps_first() -> None:
    driver = begun(CONTINUED, RESTARTED)
    assert [step.scheduled.options for step in driver.open_steps.values()] == [{"delay": 5.0}]
    driver.deliver(StepCompleted("run", key="@3/sleep:restart#1", value=None, at=115.0))
    assert driver.open_steps.keys() == {"@3/wait:go#1"}
    assert driver.now == 115.0


@pytest.mark.parametrize("kind", Restart)
def test_what_a_run_that_ended_becomes(kind: Restart) -> None:
    policy, life = RestartPolicy(restart=kind), Incarnation(STARTED)
    returned = RunCompleted("run", output=1, state={"n": 1}, conversation=[{"role": "user"}])
    after_failure = concluded(FAILED, life, policy, now=101.0, signals=[SIGNAL])
    after_return = concluded(returned, life, policy, now=101.0)
    if kind is Restart.TEMPORARY:
        assert after_failure is FAILED
    else:
        assert isinstance(after_failure, RunRestarted)
        assert (after_failure.error, after_failure.state, after_failure.number) == (FAILED.error, None, 2)
        assert after_failure.signals == [SIGNAL.body()]
    if kind is Restart.PERMANENT:
        assert isinstance(after_return, RunRestarted)
        assert (after_return.error, after_return.state) == (None, {"n": 1})
        assert after_return.conversation == [{"role": "user"}]
    else:
        assert after_return is returned


@pytest.mark.parametrize(
    ("end", "given", "type_", "cause"),
    [
        (FAILED, {"unsafe": "tool:pay#1"}, "ValueError", FAILED),
        (replace(FAILED), {"life": Incarnation(STARTED, restarts=(99.0,))}, "RestartsExhausted", FAILED),
    ],
)
def test_a_failure_says_why_there_is_no_restart_and_what_the_handler_raised(
    end: RunFailed, given: dict[str, Any], type_: str, cause: RunFailed
) -> None:
    life = given.pop("life", Incarnation(STARTED))
    told = concluded(end, life, ONCE, now=101.0, **given)
    assert isinstance(told, RunFailed)
    assert told.error["type"] == type_
    assert as_it_ended(told) == cause


def test_a_permanent_run_that_returned_too_often_keeps_what_it_returned_with() -> None:
    policy = RestartPolicy(restart=Restart.PERMANENT, max_restarts=0)
    told = concluded(RunCompleted("run", output=1, state={"n": 1}), Incarnation(STARTED), policy, now=101.0)
    assert isinstance(told, RunFailed)
    assert (told.error["type"], told.state, as_it_ended(told)) == ("RestartsExhausted", {"n": 1}, None)
