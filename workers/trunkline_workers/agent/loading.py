"""A lease becomes an activation: the journal is folded and replayed, and what was under way is taken up again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from trunkline.domain.errors import Diverged
from trunkline.domain.journal import StepScheduled
from trunkline.domain.status import RunStatus, StepKind
from trunkline.engine.fold import FoldedRun, fold
from trunkline.engine.replay import OpenStep, RunDriver
from trunkline.store.journal import Row
from trunkline_workers.agent import commands, outcomes, parking
from trunkline_workers.agent.live import Live, Usage
from trunkline_workers.agent.turn import Turn

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation

REISSUED = (StepKind.LOCAL, StepKind.TOOL, StepKind.LLM)


def load(activation: Activation, rows: Sequence[Row], poison: str = "") -> None:
    """Rebuild what is open. ``poison`` is why the last append of this worker was refused: its runs are parked then."""
    folded = fold(row.entry for row in rows)
    activation.state, activation.conversation = folded.state, folded.conversation
    versions = {(row.entry.run, row.entry.key): row.version for row in rows if isinstance(row.entry, StepScheduled)}
    for run in folded.open_runs:
        live = _revive(activation, run)
        live.versions = {key: versions[run.started.run, key] for key in run.open_steps}
        if poison and not live.parked:
            parking.park(activation, live, "unrecordable", poison)
    _give_up_on_killers(activation)
    for live in list(activation.runs.values()):
        if not live.parked:
            _go_on(activation, live)


def _revive(activation: Activation, run: FoldedRun) -> Live:
    """Replay the run. One that has diverged is parked with the difference."""
    started = run.started
    live = Live(started, None, status=RunStatus.RUNNING, parked=run.parked, usage=Usage.of(run.entries))
    live.pending = {key: step.scheduled for key, step in run.open_steps.items()}
    live.last_at = max((getattr(entry, "at", 0.0) for entry in run.entries), default=started.at)
    activation.runs[live.run] = live
    try:
        live.driver = RunDriver.replay(
            run.entries, activation.body(run.state, run.conversation), agent=activation.agent.name
        )
    except Diverged as error:
        if not live.parked:
            parking.park(activation, live, "diverged", str(error))
    return live


def _give_up_on_killers(activation: Activation) -> None:
    """A run that was taken over again and again without getting anywhere is parked: it may kill its worker."""
    if activation.lease.takeovers < activation.office.settings.takeovers:
        return
    for live in list(activation.runs.values()):
        if not live.parked:
            detail = f"{activation.lease.takeovers} workers died while they held it, and it made no progress"
            parking.park(activation, live, "kills-its-worker", detail)


def _go_on(activation: Activation, live: Live) -> None:
    """Take up the open steps: after a death they are issued again, after a hand-over outcomes are on their way."""
    assert live.driver is not None
    turn = Turn(progress=False)
    activation.follow(live, turn)
    for step in list(live.driver.open_steps.values()):
        if StepKind(step.scheduled.kind) in REISSUED and step.scheduled.key in live.versions:
            _take_up(activation, live, step, turn)
    activation.submit(turn)


def _take_up(activation: Activation, live: Live, step: OpenStep, turn: Turn) -> None:
    if step.started is not None:
        parking.watch_unknown(activation, live, step)
    elif step.scheduled.kind == StepKind.LOCAL or activation.lease.takeovers:
        outcomes.retry(activation, live, step, turn, reason="takeover")
    else:
        turn.after.append(partial(commands.watch, activation, live, step))
