"""The end of a run: its row, its parent's reply and its leftovers become true in the commit that ends it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from trunkline.domain import deadlines, letters
from trunkline.domain.journal import RunCancelled, RunFailed, RunStarted, SignalReceived
from trunkline.domain.mail import Mail
from trunkline.domain.status import EnvelopeKind, RunStatus
from trunkline.engine.few import left
from trunkline.observe import faults
from trunkline.store.append import DeadLetter, RunChange
from trunkline_workers.agent.discarding import discard
from trunkline_workers.agent.live import Live
from trunkline_workers.agent.remembering import remember
from trunkline_workers.agent.turn import Turn

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation

UNTAKEN = "the run ended without waiting for it"


def end(
    activation: Activation,
    live: Live,
    turn: Turn,
    status: RunStatus,
    *,
    output: Any = None,
    error: dict[str, Any] | None = None,
) -> None:
    """Forget the run here, and add to the turn all that its end owes to others."""
    del activation.runs[live.run]
    if live.started.deadline is not None:
        turn.more.timers_done.append((live.run, deadlines.STEP))
    change = activation.change(live, turn)
    change.status, change.output, change.error, change.ended = status, output, error, True
    if live.usage is not None and live.usage.calls:
        change.usage, change.cost_usd = live.usage.body(), live.usage.cost_usd
    unsafe = live.driver.unsafe if live.driver else ""
    _answer_parent(activation, live.started, turn, status, output=output, error=error, unsafe=unsafe)
    _bury(activation, live, live.driver.leftover_signals() if live.driver else (), turn)
    for letter in live.backlog.letters() if live.backlog else ():
        discard(activation, letter, turn, UNTAKEN)
    _discard_early(activation, live.run, turn)
    remember(activation, turn)
    _tell(activation, live.run, status, turn)
    office, seconds = activation.office, activation.now(live) - live.started.at
    turn.after.append(partial(office.run_ended, status, seconds))


def taken_from_queue(activation: Activation, run: str) -> Mail | None:
    """The request for ``run``, if that waits for its turn; it does so no longer."""
    waiting = next((queued for queued in activation.queue if queued.run == run), None)
    if waiting is not None:
        activation.queue = left(activation.queue, waiting)
    return waiting


def end_unstarted(
    activation: Activation, letter: Mail, turn: Turn, status: RunStatus, reason: str, *, type_: str = ""
) -> None:
    """End a run whose handler never ran: the journal still says that it was taken, and why it ended."""
    body = letter.body
    started = RunStarted(
        run=letter.run,
        input=body.get("input"),
        at=activation.office.clock.now(),
        seed=letter.run,
        message_id=letter.message_id,
        parent=body.get("parent"),
        deadline=body.get("deadline"),
    )
    failed = status is RunStatus.FAILED
    error = {"type": type_ or "Cancelled", "message": reason, "retryable": False}
    turn.more.taken.append(letter.seq)
    if body.get("deadline") is not None:
        turn.more.timers_done.append((letter.run, deadlines.STEP))
    turn.entries += [started, RunFailed(letter.run, error=error) if failed else RunCancelled(letter.run, reason=reason)]
    turn.more.runs[letter.run] = RunChange(
        run=letter.run, status=status, error=error, started=True, ended=True, deadline=started.deadline
    )
    _answer_parent(activation, started, turn, status, error=error)
    _discard_early(activation, letter.run, turn)
    remember(activation, turn)
    _tell(activation, letter.run, status, turn)


def _bury(activation: Activation, live: Live, signals: Sequence[SignalReceived], turn: Turn) -> None:
    """Signals that no wait took, and that nobody will wait for any more."""
    for leftover in signals:
        turn.more.dead.append(
            DeadLetter(
                tenant=activation.lease.tenant,
                source="mailbox",
                reason=UNTAKEN,
                subject=f"{activation.lease.agent}/{activation.lease.key}",
                body={
                    "kind": EnvelopeKind.SIGNAL,
                    "run": live.run,
                    "message_id": leftover.message_id,
                    "body": {"name": leftover.name, "data": leftover.data},
                },
            )
        )


def _discard_early(activation: Activation, run: str, turn: Turn) -> None:
    """Signals that came before the run began, and that it did not live to get: nothing else would take them."""
    for letter in [early for early in activation.early if early.run == run]:
        activation.early = left(activation.early, letter)
        discard(activation, letter, turn, "its run has ended")


def _answer_parent(
    activation: Activation,
    started: RunStarted,
    turn: Turn,
    status: RunStatus,
    *,
    output: Any = None,
    error: dict[str, Any] | None = None,
    unsafe: str = "",
) -> None:
    parent = started.parent
    if not parent:
        return
    if status is RunStatus.COMPLETED:
        envelope = letters.answer(parent, activation.office.worker, value=output, unsafe=unsafe)
    else:
        envelope = letters.answer(parent, activation.office.worker, error={**(error or {}), "retryable": False})
    turn.more.mail.append(envelope)
    turn.after.append(partial(activation.office.dispatch.wake, envelope.tenant, envelope.agent, envelope.instance))


def _tell(activation: Activation, run: str, status: RunStatus, turn: Turn) -> None:
    office, tenant = activation.office, activation.lease.tenant
    turn.after.insert(0, partial(faults.point, "run-completed"))
    turn.after.append(partial(office.dispatch.ended, tenant, run, status))
