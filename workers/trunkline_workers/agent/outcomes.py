"""Outcomes of steps: the one outcome that counts, a further attempt, or nothing because it came too late."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from trunkline.domain.journal import RunResumed, StepCompleted, StepFailed, StepRetried
from trunkline.domain.specs import RetryPolicy
from trunkline.domain.status import RunStatus
from trunkline.domain.work import Outcome
from trunkline.engine.replay import OpenStep
from trunkline.engine.retry import next_delay
from trunkline_workers.agent import commands, parking
from trunkline_workers.agent.live import Live
from trunkline_workers.agent.parking import OUTCOME_UNKNOWN
from trunkline_workers.agent.turn import Turn

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation


def must_wait(activation: Activation, outcome: Outcome) -> bool:
    """Whether the outcome is for a parked run, and does not tell what that run is parked for: it is kept as mail."""
    live = activation.runs.get(outcome.run)
    if live is None or not live.parked:
        return False
    return live.parked != OUTCOME_UNKNOWN or not _tells(live, outcome)


def settle(activation: Activation, outcome: Outcome, turn: Turn) -> None:
    """Deliver the outcome if its step is still open. The first outcome counts, whichever attempt it is of.

    That of an unsafe step whose outcome was unknown resumes its run, be it late or found out. (See ``must_wait``.)
    """
    live = activation.runs.get(outcome.run)
    step = live.driver.open_steps.get(outcome.step) if live and live.driver else None
    if live is None or step is None:
        return
    if outcome.error and outcome.error.get("unknown"):
        if not live.parked:
            parking.unknown(activation, live, turn, f"step {outcome.step}: {outcome.error.get('message')}")
        return
    if live.parked:
        resume(activation, live, turn, by=outcome.worker or "a late outcome")
    live.usage.add(outcome.usage)
    if outcome.error is None:
        _complete(activation, live, outcome, turn)
    elif outcome.attempt >= step.attempt:
        _fail_or_retry(activation, live, step, outcome, turn)


def _complete(activation: Activation, live: Live, outcome: Outcome, turn: Turn) -> None:
    activation.office.step_ended(live.settled(outcome.step).kind, "completed")
    entry = StepCompleted(
        live.run,
        key=outcome.step,
        value=outcome.value,
        at=activation.now(live),
        attempt=outcome.attempt,
        worker=outcome.worker,
        usage=outcome.usage,
    )
    activation.deliver(live, entry, turn)


def _fail_or_retry(activation: Activation, live: Live, step: OpenStep, outcome: Outcome, turn: Turn) -> None:
    error: dict[str, Any] = outcome.error or {}
    delay = _delay(live, step, error)
    if delay is not None:
        retry(activation, live, step, turn, reason="failed", delay=delay, error=error)
        return
    activation.office.step_ended(live.settled(outcome.step).kind, "failed")
    entry = StepFailed(
        live.run,
        key=outcome.step,
        error=error,
        at=activation.now(live),
        attempt=outcome.attempt,
        worker=outcome.worker,
        usage=outcome.usage,
    )
    activation.deliver(live, entry, turn)


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


def _tells(live: Live, outcome: Outcome) -> bool:
    step = live.driver.open_steps.get(outcome.step) if live.driver else None
    return step is not None and step.started is not None
