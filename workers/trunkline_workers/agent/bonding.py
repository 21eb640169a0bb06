"""What runs are to each other besides asking: spawned children, monitors, links, and cancelling by name.

A bond is a row of the commit that makes it (``store/bonds.py``). The run that it watches may end in just that moment,
so whoever wrote one looks once more behind its commit.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from trunkline.domain.ids import child_run_id, is_id
from trunkline.domain.journal import StepFailed, StepScheduled
from trunkline.domain.mail import Envelope
from trunkline.domain.status import BondKind, EnvelopeKind, OnParentEnd, StepKind
from trunkline.store.append import BondMade
from trunkline_workers.agent.live import Live
from trunkline_workers.agent.turn import Turn

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation


def spawn(activation: Activation, live: Live, step: StepScheduled, turn: Turn) -> None:
    """The spawned run is a mailbox row of this commit, under an id that is the same however often it is written."""
    options, child = step.options, child_run_id(live.run, step.key)
    orphan = options["on_parent_end"] == OnParentEnd.ORPHAN
    body: dict[str, Any] = {"input": step.args, "handler": "", "parent": None}
    if live.started.deadline is not None and not orphan:
        body["deadline"] = live.started.deadline
    if not options.get("restart", True):
        body["restart"] = False
    letter = Envelope(
        tenant=activation.lease.tenant,
        agent=str(options["agent"]),
        key=str(options["key"]),
        message_id=f"spawn:{live.run}:{step.key}",
        kind=EnvelopeKind.REQUEST,
        run=child,
        body=body,
        parent_run="" if orphan else live.run,
    )
    turn.more.mail.append(letter)
    turn.after.append(partial(activation.office.dispatch.wake, letter.tenant, letter.agent, letter.instance))
    if options["on_parent_end"] == OnParentEnd.STOP:
        _bind(activation, turn, BondMade(live.run, BondKind.STOP, child, letter.agent, letter.key))
    if options.get("link"):
        _link(activation, live, turn, BondMade(live.run, BondKind.LINK, child, letter.agent, letter.key))


def monitor(activation: Activation, live: Live, step: StepScheduled, turn: Turn) -> None:
    """Be told of a run's end; of one that has ended, at once."""
    run = str(step.args["run"])
    if not is_id(run):
        error = {"type": "UnknownRun", "message": f"there is no run {run[:100]}", "retryable": False}
        turn.immediate.append(StepFailed(live.run, key=step.key, error=error, at=activation.now(live)))
        return
    lease = activation.lease
    _bind(activation, turn, BondMade(run, BondKind.MONITOR, live.run, lease.agent, lease.key, step.key))


def link(activation: Activation, live: Live, step: StepScheduled, turn: Turn) -> None:
    """Bind this run and one that it spawned to each other."""
    args = step.args
    _link(activation, live, turn, BondMade(live.run, BondKind.LINK, args["run"], args["agent"], args["key"]))


def cancel(activation: Activation, live: Live, step: StepScheduled, turn: Turn) -> None:
    """Cancel the run that the step names."""
    args = step.args
    letter = Envelope(
        tenant=activation.lease.tenant,
        agent=args["agent"],
        key=args["key"],
        message_id=f"cancel:{live.run}:{step.key}",
        kind=EnvelopeKind.CANCEL,
        run=args["run"],
        body={"reason": str(args["reason"])},
    )
    turn.more.mail.append(letter)
    turn.after.append(partial(activation.office.dispatch.wake, letter.tenant, letter.agent, letter.instance))


def let_go(activation: Activation, live: Live, turn: Turn) -> None:
    """The run is begun again in the very turn that bound it: the store lets go only what stands there already."""
    own = [bond for bond in turn.more.bonds if live.run in (bond.run, bond.watcher)]
    turn.more.bonds = [bond for bond in turn.more.bonds if bond not in own]
    for bond in own:
        if bond.kind is BondKind.STOP:
            letter = Envelope(
                tenant=activation.lease.tenant,
                agent=bond.agent,
                key=bond.key,
                message_id=f"cancel:stop:{live.run}:{bond.watcher}",
                kind=EnvelopeKind.CANCEL,
                run=bond.watcher,
                body={"reason": "its parent was begun again"},
            )
            turn.more.mail.append(letter)


def take_up(activation: Activation, live: Live) -> None:
    """The run has come here: what it waits for may have ended while nobody looked."""
    for step in live.pending.values():
        if step.kind == StepKind.MONITOR:
            activation.office.bonds.look(str(step.args["run"]))


def _link(activation: Activation, live: Live, turn: Turn, there: BondMade) -> None:
    _bind(activation, turn, there)
    lease = activation.lease
    _bind(activation, turn, BondMade(there.watcher, BondKind.LINK, live.run, lease.agent, lease.key))


def _bind(activation: Activation, turn: Turn, bond: BondMade) -> None:
    turn.more.bonds.append(bond)
    turn.after.append(partial(_look, activation, bond.run))


def _look(activation: Activation, run: str) -> None:
    """One that goes on here need not be looked at: its end will be a later commit of this worker's."""
    if run not in activation.runs:
        activation.office.bonds.look(run)
