"""Runs that need repair, and steps that stay without an outcome for too long."""

from __future__ import annotations

import asyncio
import math
from functools import partial
from typing import TYPE_CHECKING

from trunkline.domain.codec import printable
from trunkline.domain.journal import RunParked
from trunkline.domain.status import Effect, RunStatus
from trunkline.engine.replay import OpenStep
from trunkline.observe import metrics
from trunkline_workers.agent.live import Live
from trunkline_workers.agent.turn import Turn

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation

DIVERGED = "diverged"
OUTCOME_UNKNOWN = "outcome-unknown"
CANCEL = "trunkline runs cancel RUN"
AGAIN = "trunkline runs resolve RUN --again"
MOST_DETAIL = 2000  # characters
GRACE = 5.0  # seconds, on top of an unsafe step's begin-by and timeout
QUEUE_WAIT = 60.0  # seconds that an item may lie in its queue before it is issued again
DEFAULT_TIMEOUT = 60.0  # seconds
MOST_PATIENT = 60.0  # times longer at most that a later attempt is waited for

ACTIONS = {
    DIVERGED: ("deploy code that fits the journal", AGAIN, CANCEL),
    OUTCOME_UNKNOWN: (
        "find out whether it took effect",
        "trunkline runs resolve RUN --happened RESULT",
        "trunkline runs resolve RUN --failed REASON",
        AGAIN,
        CANCEL,
    ),
    "kills-its-worker": ("look at the workers' logs, mend the code", AGAIN, CANCEL),
    "unrecordable": ("mend the code", AGAIN, CANCEL),
}


def park(activation: Activation, live: Live, reason: str, detail: str) -> None:
    """The run goes no further until it is freed; it says why, and what would free it."""
    activation.act(partial(_park, activation, live, reason=reason, detail=detail), turn=Turn(progress=False))


def _park(activation: Activation, live: Live, turn: Turn, reason: str, detail: str) -> None:
    turn.progress = False
    detail, actions = printable(detail, MOST_DETAIL), [action.replace("RUN", live.run) for action in ACTIONS[reason]]
    live.parked, live.status = reason, RunStatus.PARKED
    turn.entries.append(RunParked(live.run, reason=reason, detail=detail, actions=actions))
    change = activation.change(live, turn)
    change.status, change.parked_reason, change.parked_detail = RunStatus.PARKED, reason, detail
    change.next_actions = actions
    turn.after.append(metrics.parked.labels(reason=reason).inc)


def give_up(activation: Activation, live: Live, turn: Turn) -> None:
    """Worker after worker died with the instance: its runs may be why, and are parked before their code runs."""
    detail = f"{activation.lease.takeovers} workers died while they held it, and it made no progress"
    _park(activation, live, turn, "kills-its-worker", detail)


def unknown(activation: Activation, live: Live, turn: Turn, detail: str) -> None:
    """An unsafe step has begun, and nobody can say whether it took effect."""
    _park(activation, live, turn, OUTCOME_UNKNOWN, detail)


def watch(activation: Activation, live: Live, step: OpenStep) -> None:
    """See to it that the step does not stay open for ever without anybody noticing.

    An unsafe one that has begun somewhere is unknown when it says nothing by its time; of any other the item may be
    lost with the bus, and is issued again.
    """
    timeout = float(step.scheduled.options.get("timeout") or DEFAULT_TIMEOUT)
    if step.started is not None:
        wait = step.started.begin_by + timeout + GRACE - activation.office.clock.real()
    else:
        wait = (timeout + QUEUE_WAIT) * min(2.0 ** (step.attempt - 1), MOST_PATIENT)
    now = asyncio.get_running_loop().time()
    live.issued.setdefault(step.scheduled.key, now)
    at = now + max(wait, 0.0)
    live.overdue[step.scheduled.key] = at
    activation.due = min(activation.due, at)


def look_after(activation: Activation, now: float) -> None:
    """Do something about the steps that are overdue at the loop's time ``now``."""
    activation.due = math.inf
    for live in list(activation.runs.values()):
        for key, at in list(live.overdue.items()):
            if at > now:
                activation.due = min(activation.due, at)
            elif not live.parked and live.driver is not None:
                del live.overdue[key]
                _overdue(activation, live, live.driver.open_steps[key])


def _overdue(activation: Activation, live: Live, step: OpenStep) -> None:
    if step.started is None:
        reissue(activation, live, step, "stalled")
    else:
        detail = f"step {step.scheduled.key}: worker {step.started.worker} began it and was not heard of again"
        park(activation, live, OUTCOME_UNKNOWN, detail)


def reissue(activation: Activation, live: Live, step: OpenStep, reason: str) -> None:
    """Issue the step again as its next attempt. An unsafe step that has begun never is."""
    if step.started is None or step.scheduled.options.get("effect") != Effect.UNSAFE:
        activation.retry(live, step, reason)
