"""An unsafe step began, and nobody said what came of it: its tool's probe is asked, and if that cannot tell, a person.

Nothing is decided before the step can no longer be under way: its begin-by, its timeout and a grace must be over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.engine.replay import OpenStep
from trunkline_workers.agent import parking
from trunkline_workers.agent.live import Live

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation

MOST_PROBES = 3  # an activation; more would be asked in vain
PROBE_WAIT = 10.0  # seconds, beyond the tool's timeout, in which a probe's answer should come
MOST_ATTEMPTS = 10  # of a step of which is said again and again that it did not happen, or did not begin


def overdue(activation: Activation, live: Live, step: OpenStep) -> None:
    """It is time to know. Ask the probe, or park the run with what is known."""
    key = step.scheduled.key
    asked = live.remote.probes.get(key, 0)
    if step.scheduled.options.get("probe") and asked < MOST_PROBES and step.attempt < MOST_ATTEMPTS:
        live.remote.probes[key] = asked + 1
        activation.office.dispatch.probe(activation, live, step, asked + 1)
        timeout = float(step.scheduled.options["timeout"])
        activation.look_again(live, key, timeout + PROBE_WAIT)
        return
    parking.park(activation, live, parking.OUTCOME_UNKNOWN, _known(live, step, asked))


def _known(live: Live, step: OpenStep, asked: int) -> str:
    assert step.started is not None
    key = step.scheduled.key
    detail = f"step {key}: worker {step.started.worker} began it"
    doubt = live.remote.doubts.get(key)
    detail += f", and: {doubt}" if doubt else " and was not heard of again"
    return f"{detail} (its probe was asked {asked} times)" if asked else detail
