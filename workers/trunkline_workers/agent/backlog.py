"""Signals on their way to a run. Those that it has no room for stay untaken mail until it waits for them.

A run keeps few signals that nobody waits for (see ``trunkline.engine.signals``). What comes beyond that is in the
mailbox and here, but not in the journal; a wait gets the oldest of its name. So what an incarnation leaves to the next
is bounded, and whoever takes the instance over reads the same mail again.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from trunkline.domain.journal import SignalReceived
from trunkline.domain.mail import Mail
from trunkline_workers.agent.live import Live
from trunkline_workers.agent.tray import Backlog
from trunkline_workers.agent.turn import Turn

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation

SHARE = 16  # signals that have waited and that a run gets in one turn


def offer(activation: Activation, live: Live, letter: Mail, turn: Turn) -> None:
    """Give the signal to a run that is not parked; or let it wait, as those of its name that came before do."""
    assert live.driver is not None, "a parked run takes no deliveries"
    name = str(letter.body["name"])
    if live.driver.takes_signal(name) and (live.backlog is None or name not in live.backlog):
        _give(activation, live, letter, turn)
    else:
        wait(live, letter)


def wait(live: Live, letter: Mail) -> None:
    """The signal is not for now."""
    if live.backlog is None:
        live.backlog = Backlog()
    live.backlog.put(letter)


def go_on(activation: Activation, live: Live, turn: Turn) -> None:
    """When the run waits for what is in its backlog, it gets that in a turn of its own, behind ``turn``."""
    backlog = live.backlog
    if backlog is None or backlog.due or live.parked or live.driver is None:
        return
    if backlog.wanted(live.driver.awaited_signals):
        backlog.due = True
        turn.after.append(partial(activation.act, partial(give_waiting, activation, live)))


def give_waiting(activation: Activation, live: Live, turn: Turn) -> None:
    """Give the run what it waits for and has in its backlog, a few at once."""
    backlog = live.backlog
    if backlog is None:
        return
    for _ in range(SHARE):
        if live.run not in activation.runs or live.parked or live.driver is None:
            break
        letter = backlog.next(live.driver.awaited_signals)
        if letter is None:
            break
        _give(activation, live, letter, turn)
    backlog.due = False
    if live.run in activation.runs:
        go_on(activation, live, turn)


def _give(activation: Activation, live: Live, letter: Mail, turn: Turn) -> None:
    turn.more.taken.append(letter.seq)
    entry = SignalReceived(
        live.run,
        name=str(letter.body["name"]),
        data=letter.body.get("data"),
        at=activation.now(live),
        message_id=letter.message_id,
    )
    activation.deliver(live, entry, turn)
