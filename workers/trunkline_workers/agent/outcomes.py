"""Outcomes of steps: the one outcome that counts, a further attempt, or nothing because it came too late."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from trunkline.domain.journal import RunResumed, StepCompleted, StepFailed, StepRetried
from trunkline.domain.specs import RetryPolicy
from trunkline.domain.status import RunStatus, StepKind
from trunkline.domain.work import Outcome
from trunkline.engine.replay import OpenStep
from trunkline.engine.retry import next_delay
from trunkline_workers.agent import commands, parking
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

    @classmethod
    def of(cls, outcome: Outcome) -> StepResult:
        return cls(
            outcome.run, outcome.step, outcome.attempt, outcome.worker, outcome.value, outcome.error, outcome.usage
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
    live = activation.runs.get(result.run)
    step = live.driver.open_steps.get(result.step) if live and live.driver else None
    if live is None or step is None:
        return
    if result.error and result.error.get("unknown"):
        if not live.parked and result.attempt >= step.attempt:  # of one before this, somebody has found it out
            parking.unknown(activation, live, turn, f"step {result.step}: {result.error.get('message')}")
        return
    if live.parked:
        resume(activation, live, turn, by=result.worker or "a late outcome")
    live.usage.add(result.usage)
    if result.error is None:
        if step.attempt > 1 and step.scheduled.kind != StepKind.LOCAL:  # another attempt may be under way: call it off
            called_off = partial(activation.office.dispatch.cancel, activation.lease.tenant, live.run, result.step)
            turn.after.append(called_off)
        _complete(activation, live, result, turn)
    elif result.attempt >= step.attempt:
        _fail_or_retry(activation, live, step, result, turn)


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
    )
    activation.deliver(live, entry, turn)


def _fail_or_retry(activation: Activation, live: Live, step: OpenStep, result: StepResult, turn: Turn) -> None:
    error: dict[str, Any] = result.error or {}
    delay = _delay(live, step, error)
    if delay is not None:
        retry(activation, live, step, turn, reason="failed", delay=delay, error=error)
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
    began = live.issued.get(key)
    kind = live.settled(key).kind
    activation.office.step_ended(kind, outcome)
    if began is not None:
        activation.office.step_took(kind, began)


def _delay(live: Live, step: OpenStep, error: dict[str, Any]) -> float | None:
    if not error.get("retryable", False):
        return None
    policy = RetryPolicy.model_validate(step.scheduled.options.get("retry") or {})
    return next_delay(policy, step.attempt, f"{live.started.seed}:{step.scheduled.key}")


def retry(
    activation: Activation,
    live: Live,
    step: OpenStep,
    turn: Turn,
    *,
    reason: str,
    delay: float = 0.0,
    error: dict[str, Any] | None = None,
) -> None:
    """Record that the step is issued again as its next attempt, and issue it after ``delay`` seconds."""
    assert live.driver is not None
    key = step.scheduled.key
    entry = StepRetried(live.run, key=key, attempt=step.attempt + 1, reason=reason, delay=delay, error=error)
    turn.entries.append(entry)
    live.driver.deliver(entry)
    live.permits.pop(key, None)
    activation.office.redispatched(reason)
    issue = partial(commands.issue, activation, live, key)
    turn.after.append(partial(activation.office.later, delay, issue) if delay > 0 else issue)


def resume(activation: Activation, live: Live, turn: Turn, *, by: str) -> None:
    """A parked run goes on: its open steps are watched again, and it gets the mail that came meanwhile."""
    assert live.driver is not None
    live.parked, live.status = "", RunStatus.RUNNING
    turn.entries.append(RunResumed(live.run, by=by, at=activation.now(live)))
    activation.change(live, turn).status = RunStatus.RUNNING
    for step in live.driver.open_steps.values():
        if step.scheduled.key in live.versions:
            parking.watch(activation, live, step)
    activation.office.soon(partial(activation.take_held, live))


def _tells(live: Live, result: StepResult) -> bool:
    step = live.driver.open_steps.get(result.step) if live.driver else None
    return step is not None and step.started is not None
