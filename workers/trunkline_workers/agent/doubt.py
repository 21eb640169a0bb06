"""An unsafe step began, and nobody said what came of it: its tool's probe is asked, and if that cannot tell, a person.

Nothing is decided before the step can no longer be under way: its begin-by, its timeout and a grace must be over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.domain.work import NOT_HAPPENED
from trunkline.engine.replay import OpenStep
from trunkline_workers.agent import outcomes, parking
from trunkline_workers.agent.live import Live
from trunkline_workers.agent.turn import Turn

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation
    from trunkline_workers.agent.outcomes import StepResult

MOST_PROBES = 3  # an activation; more would be asked in vain
PROBE_WAIT = 10.0  # seconds, beyond the tool's timeout, in which a probe's answer should come
AGAIN_AFTER = 0.5  # seconds from a probe that could not tell to the next; doubles
MOST_ATTEMPTS = 10  # of a step whose probe says again and again that it did not happen


def raised(live: Live, result: StepResult) -> None:
    """The worker cannot tell either. The step is looked after at its time; this is why it is in doubt."""
    live.doubts[result.step] = str((result.error or {}).get("message"))


def overdue(activation: Activation, live: Live, step: OpenStep) -> None:
    """It is time to know. Ask the probe, or park the run with what is known."""
    key = step.scheduled.key
    asked = live.probes.get(key, 0)
    if step.scheduled.options.get("probe") and asked < MOST_PROBES and step.attempt < MOST_ATTEMPTS:
        live.probes[key] = asked + 1
        activation.office.dispatch.probe(activation, live, step, asked + 1)
        timeout = float(step.scheduled.options.get("timeout") or parking.DEFAULT_TIMEOUT)
        parking.look_again(activation, live, step, timeout + PROBE_WAIT)
        return
    parking.park(activation, live, parking.OUTCOME_UNKNOWN, _known(live, step, asked))


def probed(activation: Activation, live: Live, step: OpenStep, result: StepResult, turn: Turn) -> bool:
    """The probe's answer. Returns whether it told the step's outcome, which is still to be delivered."""
    if step.started is None or result.attempt != step.attempt:
        return False  # it was about an attempt that is over
    error = result.error or {}
    if error.get("type") == NOT_HAPPENED:
        if live.parked:
            outcomes.resume(activation, live, turn, by=result.worker)
        live.doubts.pop(step.scheduled.key, None)
        live.probes.pop(step.scheduled.key, None)
        outcomes.retry(activation, live, step, turn, reason="probed")
        return False
    if error:
        live.doubts[step.scheduled.key] = f"its probe could not tell: {error.get('message')}"
        parking.look_again(activation, live, step, AGAIN_AFTER * 2.0 ** live.probes.get(step.scheduled.key, 0))
        return False
    return True


def _known(live: Live, step: OpenStep, asked: int) -> str:
    assert step.started is not None
    key = step.scheduled.key
    detail = f"step {key}: worker {step.started.worker} began it"
    doubt = live.doubts.get(key)
    detail += f", and: {doubt}" if doubt else " and was not heard of again"
    return f"{detail} (its probe was asked {asked} times)" if asked else detail
