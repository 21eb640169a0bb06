"""What was found out about an unsafe step that was let begin: by its tool's probe, or by whoever did not begin it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.domain.work import NOT_BEGUN, NOT_HAPPENED
from trunkline.engine.replay import OpenStep
from trunkline_workers.agent import reissuing
from trunkline_workers.agent.doubt import MOST_ATTEMPTS
from trunkline_workers.agent.live import Live
from trunkline_workers.agent.turn import Turn

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation
    from trunkline_workers.agent.outcomes import StepResult

AGAIN_AFTER = 0.5  # seconds from a probe that could not tell to the next, and to the next attempt to begin; doubles


def probed(activation: Activation, live: Live, step: OpenStep, result: StepResult, turn: Turn) -> bool:
    """What was found out. Returns whether it told the step's outcome, which is still to be delivered."""
    if step.started is None or result.attempt != step.attempt:
        return False  # it was about an attempt that is over
    error = result.error or {}
    if error.get("type") == NOT_BEGUN:
        _not_begun(activation, live, step, result, turn)
        return False
    if error.get("type") == NOT_HAPPENED:
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


def _not_begun(activation: Activation, live: Live, step: OpenStep, result: StepResult, turn: Turn) -> None:
    """Issue it again, each time after a longer while. That is no progress, and after many times somebody must look: the
    step is unknown at its time. Only the execution that was let begin can say that it did not.
    """
    assert step.started is not None
    if result.execution != step.started.execution:
        return
    if step.attempt >= MOST_ATTEMPTS:
        live.remote.doubts[step.scheduled.key] = f"did not: {result.error and result.error.get('message')}"
        return
    reissuing.resume(activation, live, turn, by=result.worker)
    turn.progress = False
    pause = AGAIN_AFTER * 2.0 ** (step.attempt - 1)
    reissuing.retry(activation, live, step, turn, reason="not begun", delay=pause, error=result.error)
