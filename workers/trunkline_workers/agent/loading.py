"""A lease becomes an activation: its history is folded and replayed, and what was under way is taken up again."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from trunkline.domain.errors import Diverged
from trunkline.domain.journal import StepRetried, StepScheduled
from trunkline.domain.status import RunStatus, StepKind
from trunkline.engine.fold import FoldedRun
from trunkline.engine.replay import OpenStep, RunDriver
from trunkline.store.history import History
from trunkline_workers.agent import lateness, parking, reissuing, watching
from trunkline_workers.agent.live import Live, Usage
from trunkline_workers.agent.parking import DIVERGED
from trunkline_workers.agent.turn import Turn

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation

REISSUED = (StepKind.LOCAL, StepKind.TOOL, StepKind.LLM)


def load(activation: Activation, history: History, poison: str = "") -> None:
    """Rebuild what is open. ``poison`` is why a turn of this worker could not be recorded: its runs are parked then."""
    folded = history.fold()
    activation.state, activation.conversation = folded.state, folded.conversation
    activation.covered = history.covered
    scheduled = [(row.version, row.entry) for row in history.rows if isinstance(row.entry, StepScheduled)]
    versions = {(entry.run, entry.key): version for version, entry in scheduled}
    for run in folded.open_runs:
        live = _known(activation, run)
        live.versions = {key: versions[run.started.run, key] for key in run.open_steps}
        if activation.suspect:
            if not live.parked:
                activation.act(partial(parking.give_up, activation, live))
        elif _revived(activation, live, run, poison):
            activation.act(partial(_go_on, activation, live, run), turn=Turn(progress=False))


def _known(activation: Activation, run: FoldedRun) -> Live:
    live = Live(run.started, None, status=RunStatus.RUNNING, parked=run.parked, usage=Usage.of(run.entries))
    live.pending = {key: step.scheduled for key, step in run.open_steps.items()}
    live.last_at = max((getattr(entry, "at", 0.0) for entry in run.entries), default=run.started.at)
    live.late = lateness.was_told(run)
    activation.runs[live.run] = live
    return live


def _revived(activation: Activation, live: Live, run: FoldedRun, poison: str) -> bool:
    """Replay the run. Returns whether it can go on; one that has diverged is parked with the difference."""
    body = activation.body(run.state, run.conversation)
    try:
        live.driver = RunDriver.replay(run.entries, body, agent=activation.agent.name)
    except Diverged as error:
        if not live.parked:
            parking.park(activation, live, DIVERGED, str(error))
        return False
    if poison and not live.parked:
        parking.park(activation, live, "unrecordable", poison)
    return not live.parked or live.parked == DIVERGED


def _go_on(activation: Activation, live: Live, run: FoldedRun, turn: Turn) -> None:
    """Take up the open steps: after a death they are issued again, after a hand-over outcomes are on their way."""
    assert live.driver is not None
    if live.parked:
        reissuing.resume(activation, live, turn, by="the code fits the journal again")
    activation.follow(live, turn)
    late = {entry.key for entry in run.entries if isinstance(entry, StepRetried) and entry.delay}
    for step in list(live.driver.open_steps.values()):
        if StepKind(step.scheduled.kind) in REISSUED and step.scheduled.key in live.versions:
            _take_up(activation, live, step, turn, unsent=step.scheduled.key in late)


def _take_up(activation: Activation, live: Live, step: OpenStep, turn: Turn, *, unsent: bool) -> None:
    """``unsent``: the attempt was to be issued after a delay, and may not have been when its worker left."""
    if step.started is not None:
        watching.watch(activation, live, step)
    elif step.scheduled.kind == StepKind.LOCAL or activation.lease.takeovers or unsent:
        reissuing.retry(activation, live, step, turn, reason="takeover")
    else:
        watching.watch(activation, live, step)
