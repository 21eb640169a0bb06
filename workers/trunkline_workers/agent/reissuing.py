"""Steps that are issued again as their next attempt, and parked runs that go on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from trunkline.domain.journal import RunResumed, StepRetried
from trunkline.domain.status import EnvelopeKind, RunStatus
from trunkline.engine.replay import OpenStep
from trunkline_workers.agent import commands, watching
from trunkline_workers.agent.live import Live
from trunkline_workers.agent.turn import Turn

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation


def retry(
    activation: Activation,
    live: Live,
    step: OpenStep,
    turn: Turn,
    *,
    reason: str,
    delay: float = 0.0,
    error: dict[str, Any] | None = None,
) -> None:
    """Record that the step is issued again as its next attempt, and issue it after ``delay`` seconds."""
    assert live.driver is not None
    key = step.scheduled.key
    entry = StepRetried(live.run, key=key, attempt=step.attempt + 1, reason=reason, delay=delay, error=error)
    turn.entries.append(entry)
    live.driver.deliver(entry)
    live.forget_attempt(key)
    activation.office.redispatched(reason)
    if delay > 0:
        activation.window.rests(live.run, key)
    issue = partial(commands.issue, activation, live, key)
    turn.after.append(partial(activation.office.later, delay, issue) if delay > 0 else issue)


def resume(activation: Activation, live: Live, turn: Turn, *, by: str) -> None:
    """If the run is parked, it goes on: what was put off is done, its other open steps are watched again, and it gets
    the mail that came meanwhile.
    """
    if not live.parked:
        return
    assert live.driver is not None
    live.parked, live.status = "", RunStatus.RUNNING
    turn.entries.append(RunResumed(live.run, by=by, at=activation.now(live)))
    activation.change(live, turn).status = RunStatus.RUNNING
    for step in live.driver.open_steps.values() if live.calls else ():
        if step.scheduled.key in live.remote.versions and not activation.window.waits(live.run, step.scheduled.key):
            watching.watch(activation, live, step)
    put_off, live.put_off = live.put_off, ()
    for act in put_off:
        act(turn)
    activation.window.refill_soon()
    activation.office.soon(partial(activation.take_held, live))


def take_up(activation: Activation, live: Live, key: str, turn: Turn) -> None:
    """The run is freed: issue its step again, which nobody may have been given, unless an outcome of it has come."""
    step = live.driver.open_steps.get(key) if live.driver is not None else None
    told = any(letter.kind == EnvelopeKind.REPLY and letter.body["step"] == key for letter in live.held)
    if step is not None and not told:
        retry(activation, live, step, turn, reason="takeover")
