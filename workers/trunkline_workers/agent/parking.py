"""Runs that need repair, and steps that stay without an outcome for too long."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from trunkline.domain.journal import RunParked
from trunkline.domain.status import Effect, RunStatus
from trunkline.engine.replay import OpenStep
from trunkline.observe import metrics
from trunkline_workers.agent.live import Live
from trunkline_workers.agent.turn import Turn

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation

OUTCOME_UNKNOWN = "outcome-unknown"
GRACE = 5.0  # seconds, on top of an unsafe step's begin-by and timeout
QUEUE_WAIT = 60.0  # seconds that an item may lie in its queue before it is issued again

ACTIONS = {
    "diverged": ("put the old code back and restart the agent workers", "trunkline runs cancel"),
    "outcome-unknown": ("find out what happened", "trunkline runs cancel"),
    "kills-its-worker": ("look at the workers' logs", "mend the code", "trunkline runs cancel"),
    "unrecordable": ("look at the detail", "mend the code", "trunkline runs cancel"),
}


def park(activation: Activation, live: Live, reason: str, detail: str) -> None:
    """The run goes no further until it is freed; it says why, and what would free it."""
    turn = Turn(progress=False)
    actions = list(ACTIONS[reason])
    live.parked, live.status = reason, RunStatus.PARKED
    turn.entries.append(RunParked(live.run, reason=reason, detail=detail[:2000], actions=actions))
    change = activation.change(live, turn)
    change.status, change.parked_reason, change.parked_detail = RunStatus.PARKED, reason, detail[:2000]
    change.next_actions = actions
    metrics.parked.labels(reason=reason).inc()
    activation.submit(turn)


def watch_unknown(activation: Activation, live: Live, step: OpenStep) -> None:
    """An unsafe step has begun somewhere: if it says nothing by its time, its outcome is unknown."""
    assert step.started is not None
    timeout = float(step.scheduled.options.get("timeout") or 60.0)
    left = step.started.begin_by + timeout + GRACE - activation.office.clock.now()
    activation.office.at_deadline(
        max(left, 0.0), partial(_still_unknown, activation, live, step.scheduled.key, step.attempt)
    )


def watch_still(activation: Activation, live: Live, step: OpenStep) -> None:
    """A published item may be lost with the bus: an attempt that is still without an outcome long after is repeated."""
    timeout = float(step.scheduled.options.get("timeout") or 60.0)
    wait = (timeout + QUEUE_WAIT) * min(2.0 ** (step.attempt - 1), 60.0)
    activation.office.at_deadline(wait, partial(_still_open, activation, live, step.scheduled.key, step.attempt))


def _still_unknown(activation: Activation, live: Live, key: str, attempt: int) -> None:
    step = _open(activation, live, key, attempt)
    if step is not None and step.started is not None:
        detail = f"step {key}: worker {step.started.worker} began it and was not heard of again"
        park(activation, live, OUTCOME_UNKNOWN, detail)


def _still_open(activation: Activation, live: Live, key: str, attempt: int) -> None:
    step = _open(activation, live, key, attempt)
    if step is not None and step.started is None:
        reissue(activation, live, step, "stalled")


def reissue(activation: Activation, live: Live, step: OpenStep, reason: str) -> None:
    """Issue the step again as its next attempt. An unsafe step that has begun never is."""
    if step.started is not None and step.scheduled.options.get("effect") == Effect.UNSAFE:
        return
    activation.retry(live, step, reason)


def _open(activation: Activation, live: Live, key: str, attempt: int) -> OpenStep | None:
    if activation.closed or live.parked or live.driver is None:
        return None
    step = live.driver.open_steps.get(key)
    return step if step is not None and step.attempt == attempt else None
