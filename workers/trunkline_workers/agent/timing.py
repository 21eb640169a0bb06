"""A timer is a row of the commit that sets it; behind the commit the supervisor hears of one that falls due soon."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from trunkline.store.append import TimerSet
from trunkline_workers.agent.turn import Turn

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation


def set_timer(activation: Activation, turn: Turn, run: str, step: str, delay: float) -> None:
    """``step`` of ``run`` gets a letter ``delay`` seconds after the commit of ``turn``."""
    turn.more.timers.append(TimerSet(run=run, step=step, delay=delay))
    if delay < activation.office.settings.alarm_every:
        turn.after.append(partial(activation.office.dispatch.alarm, delay))
