"""What each kind of mail does to an instance. Taking it and what follows from it are one commit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from trunkline.domain import deadlines
from trunkline.domain.approvals import parts_of
from trunkline.domain.journal import (
    CancelRequested,
    RunCancelled,
    StepCancelled,
    StepCompleted,
    StepFailed,
)
from trunkline.domain.mail import Mail
from trunkline.domain.status import EnvelopeKind, OnBusy, RunStatus, StepKind
from trunkline.domain.work import Outcome
from trunkline.engine.few import joined, left
from trunkline_workers.agent import backlog, commands, lateness, outcomes, queue, resolving
from trunkline_workers.agent.discarding import discard
from trunkline_workers.agent.ending import end, end_unstarted, taken_from_queue
from trunkline_workers.agent.live import Live
from trunkline_workers.agent.outcomes import StepResult
from trunkline_workers.agent.turn import Turn

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation


def request(activation: Activation, letter: Mail, turn: Turn) -> None:
    """Begin a run, or do what the agent's ``on_busy`` says when there is one. An event's handler begins at once.

    While the agent is paused all wait.
    """
    current = activation.current()
    if lateness.too_late(activation, letter):
        end_unstarted(activation, letter, turn, RunStatus.CANCELLED, deadlines.passed(letter.body["deadline"]))
        return
    paused = activation.paused
    if not paused and (letter.body.get("handler") or (current is None and not activation.queue)):
        activation.start(letter, turn)
        return
    policy = activation.agent.spec.on_busy
    if policy is OnBusy.REJECT and current is not None:
        end_unstarted(
            activation, letter, turn, RunStatus.FAILED, "the instance is busy with another run", type_="InstanceBusy"
        )
        return
    activation.queue = joined(activation.queue, letter)
    lateness.queued(activation, letter, turn)
    if policy is OnBusy.INTERRUPT and current is not None and not current.parked and not paused:
        reason = "interrupted by a newer request"
        activation.deliver(current, CancelRequested(current.run, reason=reason, at=activation.now(current)), turn)


def signal(activation: Activation, letter: Mail, turn: Turn) -> None:
    """Give a named message to the run it is for; keep it until that run begins."""
    live = activation.runs.get(letter.run) if letter.run else activation.current()
    if parts_of(str(letter.body["name"])) is not None and not _asked_for(live, letter):
        discard(activation, letter, turn, "no run waits for this decision (any more)")
    elif live is None:
        if not letter.run or any(waiting.run == letter.run for waiting in activation.queue):
            activation.early = joined(activation.early, letter)
        else:
            discard(activation, letter, turn, "its run has ended")
    elif live.parked:
        live.held = joined(live.held, letter)
    else:
        backlog.offer(activation, live, letter, turn)


def _asked_for(live: Live | None, letter: Mail) -> bool:
    """Whether the run waits for just this decision. One that came early would answer what nobody had asked yet."""
    if live is None or live.driver is None:
        return live is not None  # a parked run keeps it
    return letter.body["name"] in live.driver.awaited_signals


def deliver_early(activation: Activation, live: Live, turn: Turn) -> None:
    """The run has begun: give it the signals that came before, a few at once."""
    mine = [letter for letter in activation.early if letter.run in ("", live.run)]
    for nth, letter in enumerate(mine):
        if live.run not in activation.runs:
            return
        activation.early = left(activation.early, letter)
        if nth < backlog.SHARE:
            backlog.offer(activation, live, letter, turn)
        else:
            backlog.wait(live, letter)
    if live.run in activation.runs:
        backlog.go_on(activation, live, turn)


def reply(activation: Activation, letter: Mail, turn: Turn) -> None:
    """The outcome of a step, from a child run or from a worker that had another owner's address."""
    outcome = Outcome.model_validate(letter.body)
    result = StepResult.of(outcome)
    if outcomes.must_wait(activation, result):
        live = activation.runs[letter.run]
        live.held = joined(live.held, letter)
        return
    lateness.told_first(activation, outcome, turn)
    if outcomes.awaited(activation, result) is None:
        put_away = partial(activation.act, lambda later: later.more.taken.append(letter.seq))
        activation.too_late(outcome, put_away)
        return
    turn.more.taken.append(letter.seq)
    outcomes.settle(activation, result, turn)


def timer(activation: Activation, letter: Mail, turn: Turn) -> None:
    """A timer is due: a sleep is over, or a wait got no answer in time."""
    live = activation.runs.get(letter.run)
    if live is not None and live.parked:
        live.held = joined(live.held, letter)
        return
    turn.more.taken.append(letter.seq)
    if letter.body["step"] == deadlines.STEP:
        lateness.passed(activation, letter, turn)
        return
    step = live.driver.open_steps.get(letter.body["step"]) if live and live.driver else None
    if live is None or step is None:
        return
    due = activation.office.clock.told(letter.body.get("due", 0.0))
    at, key = activation.now(live, due), step.scheduled.key
    commands.expire(live, live.settled(key), turn)
    if step.scheduled.kind == StepKind.SLEEP:
        activation.deliver(live, StepCompleted(live.run, key=key, value=None, at=at), turn)
    else:
        message = f"nothing came within {step.scheduled.options.get('timeout')} s"
        error = {"type": "TimedOut", "message": message, "retryable": False}
        activation.deliver(live, StepFailed(live.run, key=key, error=error, at=at), turn)


def cancel(activation: Activation, letter: Mail, turn: Turn) -> None:
    """Somebody wants the run to end: a running one is told, one in the queue or parked ends at once."""
    turn.more.taken.append(letter.seq)
    reason = str(letter.body.get("reason") or "cancelled")
    live = activation.runs.get(letter.run) if letter.run else activation.current()
    waiting = taken_from_queue(activation, letter.run)
    if waiting is not None:
        end_unstarted(activation, waiting, turn, RunStatus.CANCELLED, reason)
    elif live is not None and live.parked:
        _cancel_parked(activation, live, turn, reason)
    elif live is not None:
        activation.deliver(live, CancelRequested(live.run, reason=reason, at=activation.now(live)), turn)


def refuse(activation: Activation, letter: Mail, turn: Turn, reason: str) -> None:
    """What followed from the letter could not be recorded: its run fails before it begins, others become dead."""
    if letter.kind in (EnvelopeKind.REQUEST, EnvelopeKind.EVENT):
        end_unstarted(activation, letter, turn, RunStatus.FAILED, reason, type_="Unrecordable")
    else:
        discard(activation, letter, turn, reason)


def _cancel_parked(activation: Activation, live: Live, turn: Turn, reason: str) -> None:
    """Its handler cannot be told: what the run has open is called off for it."""
    for step in list(live.pending.values()):
        entry = StepCancelled(live.run, key=step.key)
        turn.entries.append(entry)
        commands.cancelled(activation, live, entry, turn)
    turn.entries.append(RunCancelled(live.run, reason=reason))
    for held in live.held:
        if held.kind is EnvelopeKind.SIGNAL:
            discard(activation, held, turn, "its run was cancelled while it was parked")
        else:
            turn.more.taken.append(held.seq)
    end(activation, live, turn, RunStatus.CANCELLED, error={"type": "Cancelled", "message": reason, "retryable": False})
    if live.driver is not None:
        live.driver.abandon()
    activation.suspect = False  # somebody has looked at it: what comes next may run
    if live.main:
        queue.go_on(activation, turn)


HANDLERS: dict[EnvelopeKind, Callable[[Activation, Mail, Turn], None]] = {
    EnvelopeKind.REQUEST: request,
    EnvelopeKind.EVENT: request,
    EnvelopeKind.SIGNAL: signal,
    EnvelopeKind.REPLY: reply,
    EnvelopeKind.TIMER: timer,
    EnvelopeKind.CANCEL: cancel,
    EnvelopeKind.RESOLVE: resolving.resolve,
}
