"""Steps that stay without an outcome for too long are looked after, each at its time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from trunkline.domain.status import Effect
from trunkline.engine.replay import OpenStep
from trunkline_workers.agent import doubt
from trunkline_workers.agent.live import Live

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation

GRACE = 3.0  # seconds, on top of an unsafe step's begin-by and timeout
QUEUE_WAIT = 60.0  # seconds that an item may lie in its queue before it is issued again
DEFAULT_TIMEOUT = 60.0  # seconds
MOST_PATIENT = 60.0  # times longer at most that a later attempt is waited for


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
    live.remote.issued.setdefault(step.scheduled.key, activation.office.time())
    activation.look_again(live, step.scheduled.key, wait)


def look_after(activation: Activation, now: float) -> None:
    """Do something about the steps that are overdue at the loop's time ``now``."""
    activation.due = math.inf
    for live in list(activation.runs.values()):
        for key, at in list(live.remote.overdue.items()) if live.calls else ():
            if at > now:
                activation.due = min(activation.due, at)
            elif not live.parked and live.driver is not None:
                del live.remote.overdue[key]
                _overdue(activation, live, live.driver.open_steps[key])


def _overdue(activation: Activation, live: Live, step: OpenStep) -> None:
    if step.started is None:
        reissue(activation, live, step, "stalled")
    else:
        doubt.overdue(activation, live, step)


def reissue(activation: Activation, live: Live, step: OpenStep, reason: str) -> None:
    """Issue the step again as its next attempt. An unsafe step that has begun never is."""
    if step.started is None or step.scheduled.options.get("effect") != Effect.UNSAFE:
        activation.retry(live, step, reason)
