"""Requests that wait for the current run's end, or until their agent is no longer paused: they begin in their order.

One that ends at once is followed by the next in the same turn; after a share of them the others have a turn of their
own, so that neither a turn nor the stack grows with the queue.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from trunkline.engine.few import left
from trunkline_workers.agent.turn import Turn

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation

SHARE = 16  # requests that begin in one turn


def go_on(activation: Activation, turn: Turn) -> None:
    """The current run has ended, or the agent goes on: begin what may begin now of what waits. A run that ends while
    this is under way need not ask for it again.
    """
    if activation.paused or turn.beginning or not activation.queue:
        return
    turn.beginning = True
    _begin_handlers(activation, turn)
    _begin_requests(activation, turn)
    turn.beginning = False


def _begin_handlers(activation: Activation, turn: Turn) -> None:
    """Handlers of events pass by: they came while the agent was paused."""
    for letter in [one for one in activation.queue if one.body.get("handler")]:
        activation.queue = left(activation.queue, letter)
        activation.start(letter, turn)


def _begin_requests(activation: Activation, turn: Turn) -> None:
    for _ in range(SHARE):
        if not activation.queue or activation.current() is not None:
            return
        letter = activation.queue[0]
        activation.queue = left(activation.queue, letter)
        activation.start(letter, turn)
    turn.after.append(partial(activation.act, partial(go_on, activation)))
