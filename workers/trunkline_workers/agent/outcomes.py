"""Outcomes of steps: the one outcome that counts, a further attempt, or nothing because it came too late."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from trunkline.domain.journal import StepCompleted, StepFailed
from trunkline.domain.specs import RetryPolicy
from trunkline.domain.status import Effect, StepKind
from trunkline.domain.work import Outcome
from trunkline.engine.replay import OpenStep
from trunkline.engine.retry import next_delay
from trunkline_workers.agent import probing, reissuing
from trunkline_workers.agent.live import Live
from trunkline_workers.agent.parking import OUTCOME_UNKNOWN
from trunkline_workers.agent.turn import Turn

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation


@dataclass(slots=True)
class StepResult:
    """What came of an attempt of a step, wherever it was carried out."""

    run: str
    step: str
    attempt: int
    worker: str
    value: Any = None
    error: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None
    probe: bool = False
    unsafe: str = ""
    execution: str = ""

    @classmethod
    def of(cls, outcome: Outcome) -> StepResult:
        return cls(
            outcome.run,
            outcome.step,
            outcome.attempt,
            outcome.worker,
            outcome.value,
            outcome.error,
            outcome.usage,
            outcome.probe,
            outcome.unsafe,
            outcome.execution,
        )


def must_wait(activation: Activation, result: StepResult) -> bool:
    """Whether the outcome is for a parked run, and does not tell what that run is parked for: it is kept as mail."""
    live = activation.runs.get(result.run)
    if live is None or not live.parked:
        return False
    return live.parked != OUTCOME_UNKNOWN or not _tells(live, result)


def settle(activation: Activation, result: StepResult, turn: Turn) -> None:
    """Deliver the outcome if its step is still open. The first outcome counts, whichever attempt it is of.

    That of an unsafe step whose outcome was unknown resumes its run, be it late or found out. (See ``must_wait``.)
    """
    found = awaited(activation, result)
    if found is None:
        return
    live, step = found
    if result.probe and not probing.probed(activation, live, step, result, turn):
        return
    if result.error and result.error.get("unknown"):
        if result.attempt >= step.attempt:  # of one before this, somebody has found it out
            live.remote.doubts[result.step] = str(result.error.get("message"))  # it is looked after at its time
        return
    reissuing.resume(activation, live, turn, by=result.worker or "a late outcome")
    if result.usage is not None:
        live.spend(result.usage)
    if result.error is None:
        if step.attempt > 1 and step.scheduled.kind != StepKind.LOCAL:  # another attempt may be under way: call it off
            called_off = partial(activation.office.dispatch.cancel, activation.lease.tenant, live.run, result.step)
            turn.after.append(called_off)
        _complete(activation, live, result, turn)
    elif result.attempt >= step.attempt:
        _fail_or_retry(activation, live, step, result, turn)


def awaited(activation: Activation, result: StepResult) -> tuple[Live, OpenStep] | None:
    """The run and the open step that the outcome is for; ``None`` if it comes too late to count.

    An unsafe step of which a later attempt has begun was decided about: what an earlier one says is too late as well.
    """
    live = activation.runs.get(result.run)
    step = live.driver.open_steps.get(result.step) if live and live.driver else None
    if live is None or step is None:
        return None
    unsafe = step.scheduled.options.get("effect") == Effect.UNSAFE
    return None if unsafe and step.started is not None and result.attempt < step.attempt else (live, step)


def _complete(activation: Activation, live: Live, result: StepResult, turn: Turn) -> None:
    _measure(activation, live, result.step, "completed")
    entry = StepCompleted(
        live.run,
        key=result.step,
        value=result.value,
        at=activation.now(live),
        attempt=result.attempt,
        worker=result.worker,
        usage=result.usage,
        unsafe=result.unsafe,
    )
    activation.deliver(live, entry, turn)


def _fail_or_retry(activation: Activation, live: Live, step: OpenStep, result: StepResult, turn: Turn) -> None:
    error: dict[str, Any] = result.error or {}
    delay = _delay(live, step, error)
    if delay is not None:
        reissuing.retry(activation, live, step, turn, reason="failed", delay=delay, error=error)
        return
    _measure(activation, live, result.step, "failed")
    entry = StepFailed(
        live.run,
        key=result.step,
        error=error,
        at=activation.now(live),
        attempt=result.attempt,
        worker=result.worker,
        usage=result.usage,
    )
    activation.deliver(live, entry, turn)


def _measure(activation: Activation, live: Live, key: str, outcome: str) -> None:
    began = live.issued_at(key)
    kind = live.settled(key).kind
    activation.office.step_ended(kind, outcome)
    if began is not None:
        activation.office.step_took(kind, began)


def _delay(live: Live, step: OpenStep, error: dict[str, Any]) -> float | None:
    if not error.get("retryable", False):
        return None
    policy = RetryPolicy.model_validate(step.scheduled.options.get("retry") or {})
    return next_delay(policy, step.attempt, f"{live.started.seed}:{step.scheduled.key}")


def _tells(live: Live, result: StepResult) -> bool:
    step = live.driver.open_steps.get(result.step) if live.driver else None
    return step is not None and step.started is not None
