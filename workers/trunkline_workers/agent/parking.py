"""Runs that need repair: they go no further, and say why, and what would free them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from trunkline.domain.codec import printable
from trunkline.domain.journal import RunParked
from trunkline.domain.status import RunStatus
from trunkline.observe import metrics
from trunkline_workers.agent.live import Live
from trunkline_workers.agent.turn import Turn

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation

DIVERGED = "diverged"
OUTCOME_UNKNOWN = "outcome-unknown"
UNLOADABLE = "unloadable"
CANCEL = "trunkline runs cancel RUN"
AGAIN = "trunkline runs resolve RUN --again"
MOST_DETAIL = 2000  # characters

ACTIONS = {
    DIVERGED: ("deploy code that fits the journal", AGAIN, CANCEL),
    OUTCOME_UNKNOWN: (
        "find out whether it took effect",
        "trunkline runs resolve RUN --happened RESULT",
        "trunkline runs resolve RUN --failed REASON",
        AGAIN,
        CANCEL,
    ),
    "kills-its-worker": ("look at the workers' logs, mend the code", AGAIN, CANCEL),
    UNLOADABLE: ("mend it, or run versions of Trunkline and of your code that can read it", AGAIN),
    "unrecordable": ("mend the code", AGAIN, CANCEL),
}


def park(activation: Activation, live: Live, reason: str, detail: str) -> None:
    """The run goes no further until it is freed; it says why, and what would free it."""
    activation.act(partial(_park, activation, live, reason=reason, detail=detail), turn=Turn(progress=False))


def _park(activation: Activation, live: Live, turn: Turn, reason: str, detail: str) -> None:
    turn.progress = False
    detail, actions = printable(detail, MOST_DETAIL), [action.replace("RUN", live.run) for action in ACTIONS[reason]]
    live.parked, live.status = reason, RunStatus.PARKED
    turn.entries.append(RunParked(live.run, reason=reason, detail=detail, actions=actions))
    change = activation.change(live, turn)
    change.status, change.parked_reason, change.parked_detail = RunStatus.PARKED, reason, detail
    change.next_actions = actions
    turn.after.append(metrics.parked.labels(reason=reason).inc)


def give_up(activation: Activation, live: Live, turn: Turn) -> None:
    """Worker after worker died with the instance: its runs may be why, and are parked before their code runs."""
    detail = f"{activation.lease.takeovers} workers died while they held it, and it made no progress"
    _park(activation, live, turn, "kills-its-worker", detail)
