"""What a tool's probe found out about an unsafe step that began and was not heard of again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.domain.work import NOT_HAPPENED
from trunkline.engine.replay import OpenStep
from trunkline_workers.agent import reissuing
from trunkline_workers.agent.live import Live
from trunkline_workers.agent.turn import Turn

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation
    from trunkline_workers.agent.outcomes import StepResult

AGAIN_AFTER = 0.5  # seconds from a probe that could not tell to the next; doubles


def probed(activation: Activation, live: Live, step: OpenStep, result: StepResult, turn: Turn) -> bool:
    """The probe's answer. Returns whether it told the step's outcome, which is still to be delivered."""
    if step.started is None or result.attempt != step.attempt:
        return False  # it was about an attempt that is over
    error = result.error or {}
    if error.get("type") == NOT_HAPPENED:
        if live.parked:
            reissuing.resume(activation, live, turn, by=result.worker)
        reissuing.retry(activation, live, step, turn, reason="probed")
        return False
    if error:
        live.remote.doubts[step.scheduled.key] = f"its probe could not tell: {error.get('message')}"
        activation.look_again(
            live, step.scheduled.key, AGAIN_AFTER * 2.0 ** live.remote.probes.get(step.scheduled.key, 0)
        )
        return False
    return True
