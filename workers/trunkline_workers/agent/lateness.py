"""Deadlines: a timer of the run's own, set when it begins or waits for its turn; when it is due the run is cancelled.

A parked run keeps its mail, and so this letter, until somebody has freed it: what it is parked for is not forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.domain import deadlines
from trunkline.domain.journal import CancelRequested, RunStarted
from trunkline.domain.mail import Mail
from trunkline.domain.status import RunStatus, StepKind
from trunkline.domain.work import Outcome
from trunkline_workers.agent.ending import end_unstarted, taken_from_queue
from trunkline_workers.agent.live import Live
from trunkline_workers.agent.timing import set_timer
from trunkline_workers.agent.turn import Turn

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation


def begin(activation: Activation, started: RunStarted, turn: Turn) -> None:
    """The run begins: its deadline becomes a timer."""
    if started.deadline is not None:
        _set(activation, started.run, started.deadline, turn)


def queued(activation: Activation, letter: Mail, turn: Turn) -> None:
    """The request waits for its turn, and its time passes meanwhile. That is no progress of the instance."""
    if letter.body.get("deadline") is not None:
        _set(activation, letter.run, letter.body["deadline"], turn)
        turn.progress = False


def too_late(activation: Activation, letter: Mail) -> bool:
    """Whether the request's time passed before it could begin."""
    deadline = letter.body.get("deadline")
    return deadline is not None and deadline <= activation.office.clock.now()


def passed(activation: Activation, letter: Mail, turn: Turn) -> None:
    """The deadline's timer is due: the run is cancelled, or ends before it began."""
    live = activation.runs.get(letter.run)
    waiting = taken_from_queue(activation, letter.run)
    if waiting is not None:
        reason = deadlines.passed(waiting.body["deadline"])
        end_unstarted(activation, waiting, turn, RunStatus.CANCELLED, reason)
    elif live is not None and not live.late:
        _cancel(activation, live, turn)


def told_first(activation: Activation, reply: Outcome, turn: Turn) -> None:
    """An asked or spawned run has ended, perhaps because of the deadline that it had from this one. A run whose time
    has passed hears of that first: it is cancelled, whichever of the two letters is read first.
    """
    live = activation.runs.get(reply.run)
    step = live.driver.open_steps.get(reply.step) if live and live.driver else None
    if live is None or step is None or live.late or live.parked:
        return
    if step.scheduled.kind not in (StepKind.AGENT, StepKind.MONITOR):
        return
    deadline = live.started.deadline
    if deadline is not None and deadline <= activation.office.clock.now():
        _cancel(activation, live, turn)


def _cancel(activation: Activation, live: Live, turn: Turn) -> None:
    deadline = live.started.deadline
    if deadline is not None:
        live.late = True
        reason, at = deadlines.passed(deadline), activation.now(live, deadline)
        activation.deliver(live, CancelRequested(live.run, reason=reason, at=at), turn)


def _set(activation: Activation, run: str, deadline: float, turn: Turn) -> None:
    delay = max(deadline - activation.office.clock.now(), 0.0)
    set_timer(activation, turn, run, deadlines.STEP, delay)
