"""A run's handler begins anew: it asked for that, or the agent's restart policy does; the run goes on as it is.

What an incarnation leaves to the next becomes true in the commit that ends it. A restart sleeps first, in that same
commit. Otherwise the next begins after the commit, in a turn of its own: so a handler that does nothing but begin anew
takes the loop no longer than any other, and there is a moment at which the run holds nothing but its beginning.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from trunkline.domain.journal import Entry, RunCompleted, RunContinued, RunFailed, RunRestarted
from trunkline.engine.replay import RunDriver
from trunkline.engine.restart import NEVER, concluded
from trunkline.observe import faults, logs, metrics
from trunkline_workers.agent import bonding
from trunkline_workers.agent.beginning import body_of
from trunkline_workers.agent.live import Live
from trunkline_workers.agent.remembering import remember
from trunkline_workers.agent.turn import Turn

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation

log = logs.get("activation")


ENDS = frozenset({RunCompleted, RunFailed, RunContinued})


def as_recorded(activation: Activation, live: Live, command: Entry) -> Entry:
    """What is journalled where the handler came to ``command``, one of ``ENDS``: it may be a restart instead."""
    if isinstance(command, RunContinued):
        return replace(command, at=activation.now(live))
    driver = live.driver
    if driver is None or not isinstance(command, RunCompleted | RunFailed):
        return command
    return concluded(
        command,
        driver.life,
        activation.agent.spec.restart if _may_restart(live) else NEVER,
        now=activation.now(live),
        signals=driver.leftover_signals(),
        unsafe=driver.unsafe,
    )


def begin_anew(activation: Activation, live: Live, entry: RunContinued | RunRestarted, turn: Turn) -> None:
    """The next incarnation takes the place of the one that ``entry`` ends."""
    if entry.state is not None:
        activation.state = entry.state
    activation.heard(entry.conversation)
    assert live.driver is not None, "a parked run begins nothing"
    life, live.last_at = live.driver.life.next(entry), max(live.last_at, entry.at)
    body = body_of(activation, live.started)
    driver = live.driver = RunDriver(life, body, agent=activation.agent.name)
    activation.change(live, turn).restarted = isinstance(entry, RunRestarted)
    remember(activation, turn, live)
    turn.after.insert(0, partial(faults.point, "run-completed"))
    if isinstance(entry, RunRestarted):
        bonding.let_go(activation, live, turn)
        _tell(activation, live, entry)
        driver.start()
    else:
        turn.after.append(partial(_begin, activation, live, driver))


def _begin(activation: Activation, live: Live, driver: RunDriver) -> None:
    """The commit is through: the handler begins, unless the run was cancelled meanwhile."""
    if live.driver is driver and not driver.begun:
        activation.act(partial(start, activation, live))


def start(activation: Activation, live: Live, turn: Turn) -> None:
    assert live.driver is not None
    live.driver.start()
    activation.follow(live, turn)


def _may_restart(live: Live) -> bool:
    """Handlers of events pass by and are over; and a run whose time has passed, or that was to end, does not go on."""
    wanted = live.main and live.started.restart and not live.late
    return wanted and live.driver is not None and not live.driver.final


def _tell(activation: Activation, live: Live, entry: RunRestarted) -> None:
    metrics.restarts.labels(reason="failed" if entry.error else "returned").inc()
    error = entry.error or {}
    told = {"run": live.run, "agent": activation.agent.name, "delay": round(entry.delay, 3), "nth": len(entry.restarts)}
    if entry.error:
        log.warning("a run failed, and is begun again", error=error.get("type"), reason=error.get("message"), **told)
    else:
        log.info("a run returned, and is begun again", **told)
