"""A parked run goes on: somebody has found out what became of its step, or has mended what was wrong."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from trunkline.domain.journal import RunResumed
from trunkline.domain.mail import Mail
from trunkline.domain.status import Resolution, RunStatus
from trunkline.engine.replay import OpenStep
from trunkline_workers.agent import outcomes, reissuing
from trunkline_workers.agent.discarding import discard
from trunkline_workers.agent.live import Live
from trunkline_workers.agent.outcomes import StepResult
from trunkline_workers.agent.parking import OUTCOME_UNKNOWN
from trunkline_workers.agent.turn import Turn

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation


def resolve(activation: Activation, letter: Mail, turn: Turn) -> None:
    """Do with a parked run what somebody decided. What does not fit (any more) becomes a dead letter."""
    live = activation.runs.get(letter.run)
    outcome = Resolution(letter.body["outcome"])
    if outcome is Resolution.AGAIN and live is not None and not live.parked:
        turn.more.taken.append(letter.seq)  # it goes on already: its journal could not be read, and now it can
        activation.change(live, turn).status = live.status
    elif live is None or not live.parked:
        discard(activation, letter, turn, "its run is not parked")
    elif live.parked == OUTCOME_UNKNOWN:
        _of_step(activation, live, letter, outcome, turn)
    elif outcome is Resolution.AGAIN:
        _anew(activation, live, letter, turn)
    else:
        discard(activation, letter, turn, f"its run is parked as {live.parked}, and can only be tried again")


def _of_step(activation: Activation, live: Live, letter: Mail, resolution: Resolution, turn: Turn) -> None:
    step = _unknown(live, letter.body.get("step") or "")
    if step is None:
        discard(activation, letter, turn, "it does not name the one step whose outcome is unknown")
        return
    turn.more.taken.append(letter.seq)
    if resolution is Resolution.AGAIN:
        reissuing.resume(activation, live, turn, by=_who(letter))
        reissuing.retry(activation, live, step, turn, reason="resolved")
        return
    error = {"type": "Resolved", "message": str(letter.body.get("reason") or ""), "retryable": False}
    happened = resolution is Resolution.HAPPENED
    result = StepResult(
        live.run,
        step.scheduled.key,
        step.attempt,
        _who(letter),
        value=letter.body.get("value") if happened else None,
        error=None if happened else error,
    )
    outcomes.settle(activation, result, turn)


def _anew(activation: Activation, live: Live, letter: Mail, turn: Turn) -> None:
    """Load the instance anew. The commit counts as progress, so that takeovers before it are forgotten."""
    turn.more.taken.append(letter.seq)
    turn.entries.append(RunResumed(live.run, by=_who(letter), at=activation.now(live)))
    activation.change(live, turn).status = RunStatus.RUNNING
    turn.after.append(partial(activation.leave, None))


def _unknown(live: Live, key: str) -> OpenStep | None:
    """The step that is meant; without ``key`` the only one."""
    steps = live.driver.open_steps if live.driver else {}
    begun = [step for step in steps.values() if step.started is not None and key in ("", step.scheduled.key)]
    return begun[0] if len(begun) == 1 else None


def _who(letter: Mail) -> str:
    return str(letter.body.get("by") or "somebody")
