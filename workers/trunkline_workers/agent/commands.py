"""What each thing that a handler did adds to the turn: rows that commit with it, and what is dispatched afterwards."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from trunkline.authoring.children import CANCEL_CHILD, LINK
from trunkline.authoring.context import CANCEL_RUN
from trunkline.domain import approvals, letters
from trunkline.domain.events import CloudEvent
from trunkline.domain.ids import child_run_id, derived_id, instance_id
from trunkline.domain.journal import (
    Entry,
    RunCancelled,
    RunCompleted,
    RunContinued,
    RunFailed,
    RunRestarted,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepScheduled,
)
from trunkline.domain.mail import Envelope
from trunkline.domain.status import EnvelopeKind, RunStatus, StepKind
from trunkline.engine.few import joined
from trunkline.observe import faults
from trunkline.store.append import ApprovalAsked
from trunkline_workers.agent import bonding
from trunkline_workers.agent.ending import end
from trunkline_workers.agent.incarnations import begin_anew
from trunkline_workers.agent.live import Live
from trunkline_workers.agent.timing import set_timer
from trunkline_workers.agent.turn import Turn

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation


def scheduled(activation: Activation, live: Live, step: StepScheduled, turn: Turn) -> None:
    """A new step: what must commit with it, by its kind, and what is dispatched after the commit."""
    live.pending[step.key] = step
    if step.kind in (StepKind.TOOL, StepKind.LLM):
        live.remote.versions[step.key] = activation.version_after(turn)
    _SCHEDULED[step.kind](activation, live, step, turn)


def completed(_: Activation, live: Live, entry: StepCompleted, turn: Turn) -> None:
    """The handler's own completion of a wait (a signal was there), an emit or a spawn: its timer, if any, is off."""
    _put_away(live, live.settled(entry.key), turn)


def cancelled(activation: Activation, live: Live, entry: StepCancelled, turn: Turn) -> None:
    """Nobody waits for the step: its timer is off, and whoever carries it out is told (it may be too late)."""
    step = live.settled(entry.key)
    _put_away(live, step, turn)
    if step.kind in (StepKind.SLEEP, StepKind.WAIT):
        return
    if step.kind == StepKind.MONITOR:
        turn.more.bonds_done.append((live.run, step.key))
    elif step.kind == StepKind.LOCAL:
        turn.after.append(partial(activation.stop_local, live.run, step.key))
    elif step.kind == StepKind.AGENT:
        _cancel_asked(activation, live, step, turn)
    else:
        turn.after.append(partial(activation.office.dispatch.cancel, activation.lease.tenant, live.run, step.key))


def run_completed(activation: Activation, live: Live, entry: RunCompleted, turn: Turn) -> None:
    if entry.state is not None:
        activation.state = entry.state
    activation.heard(entry.conversation)
    end(activation, live, turn, RunStatus.COMPLETED, output=entry.output)


def run_failed(activation: Activation, live: Live, entry: RunFailed, turn: Turn) -> None:
    if entry.state is not None:
        activation.state = entry.state
    activation.heard(entry.conversation)
    end(activation, live, turn, RunStatus.FAILED, error=entry.error)


def run_cancelled(activation: Activation, live: Live, entry: RunCancelled, turn: Turn) -> None:
    error: dict[str, Any] = {"type": "Cancelled", "message": entry.reason, "retryable": False}
    if live.driver is not None and live.driver.unsafe:
        error["unsafe"] = live.driver.unsafe
    end(activation, live, turn, RunStatus.CANCELLED, error=error)


def issue(activation: Activation, live: Live, key: str) -> None:
    """Hand an open step to whoever carries it out: the same for its first attempt and for every later one. That of a
    parked run waits until it goes on.
    """
    if activation.closed or live.driver is None:
        return
    step = live.driver.open_steps.get(key)
    if step is None:
        return
    faults.point("step-scheduled")
    if step.scheduled.kind == StepKind.LOCAL:
        if live.parked:
            live.put_off = joined(live.put_off, partial(_issue_after, activation, live, key))
        else:
            activation.run_local(live, step)
    elif step.scheduled.kind in (StepKind.TOOL, StepKind.LLM):
        activation.window.issue(live, step)


def _issue_after(activation: Activation, live: Live, key: str, turn: Turn) -> None:
    turn.after.append(partial(issue, activation, live, key))


# --- by kind --------------------------------------------------------------------------------------------------------


def _work(activation: Activation, live: Live, step: StepScheduled, turn: Turn) -> None:
    _issue_after(activation, live, step.key, turn)


def _wait(activation: Activation, live: Live, step: StepScheduled, turn: Turn) -> None:
    _timer(activation, live, step, turn)
    approval = approvals.parts_of(step.name)
    if approval is not None:
        name, digits = approval
        turn.more.approvals.append(
            ApprovalAsked(
                id=approvals.approval_id(live.run, step.key),
                key=activation.lease.key,
                run=live.run,
                step=step.key,
                name=name,
                subject=step.args["subject"],
                digest=digits,
                timeout=step.options.get("timeout"),
            )
        )


def _timer(activation: Activation, live: Live, step: StepScheduled, turn: Turn) -> None:
    if has_timer(step):
        delay = step.options["delay" if step.kind == StepKind.SLEEP else "timeout"]
        set_timer(activation, turn, live.run, step.key, float(delay))


def _ask(activation: Activation, live: Live, step: StepScheduled, turn: Turn) -> None:
    """The asked run is a mailbox row of this commit; a cycle of waiting asks fails at once instead."""
    tenant, agent, key = activation.lease.tenant, str(step.options["agent"]), str(step.options["key"])
    target = instance_id(tenant, agent, key)
    path = [*((live.started.parent or {}).get("path") or []), activation.lease.instance]
    if target in path:
        message = f"{agent}/{key} is itself waiting for this run; ask another instance, or emit an event"
        error = {"type": "AskCycle", "message": message, "retryable": False}
        turn.immediate.append(StepFailed(live.run, key=step.key, error=error, at=activation.now(live)))
        return
    parent = {
        "tenant": tenant,
        "agent": activation.lease.agent,
        "key": activation.lease.key,
        "instance": activation.lease.instance,
        "run": live.run,
        "step": step.key,
        "path": path,
    }
    envelope = Envelope(
        tenant=tenant,
        agent=agent,
        key=key,
        message_id=f"ask:{live.run}:{step.key}",
        kind=EnvelopeKind.REQUEST,
        run=child_run_id(live.run, step.key),
        body={"input": step.args, "handler": "", "parent": parent} | _deadline(live),
        parent_run=live.run,
    )
    turn.more.mail.append(envelope)
    turn.after.append(partial(activation.office.dispatch.wake, tenant, agent, target))


def _deadline(live: Live) -> dict[str, float]:
    """An asked run has no more time than the one that asks."""
    return {} if live.started.deadline is None else {"deadline": live.started.deadline}


def _emit(activation: Activation, live: Live, step: StepScheduled, turn: Turn) -> None:
    """The subscribed agents' copies are mailbox rows of this commit; the copy on the bus is for outsiders."""
    internal = _INTERNAL.get(step.name)
    if internal is not None:
        internal(activation, live, step, turn)
        return
    tenant, dispatch = activation.lease.tenant, activation.office.dispatch
    event = CloudEvent(
        id=derived_id("emit", live.run, step.key),
        source=f"trunkline/{activation.lease.agent}",
        time=activation.office.clock.at(live.last_at),
        **_attributes(step.args),
    )
    copies = activation.office.route(tenant, event)
    turn.more.mail.extend(copies)
    turn.after.append(partial(dispatch.event, tenant, event))
    for copy in copies:
        turn.after.append(partial(dispatch.wake, tenant, copy.agent, copy.instance))


def _attributes(args: Any) -> dict[str, Any]:
    return {name: args[name] for name in ("type", "subject", "data", "datacontenttype") if args.get(name) is not None}


def _cancel_current(activation: Activation, live: Live, step: StepScheduled, turn: Turn) -> None:
    lease = activation.lease
    current = activation.current()
    if current is None:
        return
    envelope = Envelope(
        tenant=lease.tenant,
        agent=lease.agent,
        key=lease.key,
        message_id=f"cancel:{live.run}:{step.key}",
        kind=EnvelopeKind.CANCEL,
        run=current.run,
        body={"reason": str((step.args or {}).get("reason") or "cancelled by a handler")},
    )
    turn.more.mail.append(envelope)
    turn.after.append(partial(activation.office.dispatch.wake, lease.tenant, lease.agent, lease.instance))


def _cancel_asked(activation: Activation, live: Live, step: StepScheduled, turn: Turn) -> None:
    """A child that is private to the step has nobody left to answer: it is cancelled. A shared instance goes on."""
    if not step.options.get("private"):
        return
    agent, key = str(step.options["agent"]), str(step.options["key"])
    tenant, reason = activation.lease.tenant, "the run that asked no longer waits"
    envelope = letters.cancel_asked(live.run, step.key, tenant=tenant, agent=agent, key=key, reason=reason)
    turn.more.mail.append(envelope)
    turn.after.append(partial(activation.office.dispatch.wake, envelope.tenant, agent, envelope.instance))


def _put_away(live: Live, step: StepScheduled, turn: Turn) -> None:
    """The step has ended: its timer is off, and nobody need decide about it."""
    if has_timer(step):
        turn.more.timers_done.append((live.run, step.key))
    expire(live, step, turn)


def expire(live: Live, step: StepScheduled, turn: Turn) -> None:
    """Nobody need decide any more, if somebody had to."""
    if step.kind == StepKind.WAIT and approvals.parts_of(step.name) is not None:
        turn.more.approvals_done.append(approvals.approval_id(live.run, step.key))


def has_timer(step: StepScheduled) -> bool:
    """Whether a row in ``timers`` belongs to the step."""
    return step.kind == StepKind.SLEEP or (step.kind == StepKind.WAIT and step.options.get("timeout") is not None)


_INTERNAL: dict[str, Callable[[Activation, Live, StepScheduled, Turn], None]] = {
    CANCEL_RUN: _cancel_current,
    CANCEL_CHILD: bonding.cancel,
    LINK: bonding.link,
}

_SCHEDULED: dict[str, Callable[[Activation, Live, StepScheduled, Turn], None]] = {
    StepKind.LOCAL: _work,
    StepKind.TOOL: _work,
    StepKind.LLM: _work,
    StepKind.AGENT: _ask,
    StepKind.SLEEP: _timer,
    StepKind.WAIT: _wait,
    StepKind.EMIT: _emit,
    StepKind.SPAWN: bonding.spawn,
    StepKind.MONITOR: bonding.monitor,
}

HANDLERS: dict[type[Entry], Callable[[Activation, Live, Any, Turn], None]] = {
    StepScheduled: scheduled,
    StepCompleted: completed,
    StepCancelled: cancelled,
    RunCompleted: run_completed,
    RunFailed: run_failed,
    RunCancelled: run_cancelled,
    RunContinued: begin_anew,
    RunRestarted: begin_anew,
}
