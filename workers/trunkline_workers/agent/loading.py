"""A lease becomes an activation: its history is folded and replayed, and what was under way is taken up again.

A long history takes its time: the event loop turns in between, and the activation is nobody's to find before the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from trunkline.authoring.instance import version_of
from trunkline.domain.errors import Diverged
from trunkline.domain.journal import StepRetried, StepScheduled
from trunkline.domain.status import StepKind
from trunkline.engine.fold import FoldedRun
from trunkline.engine.replay import RunDriver
from trunkline.observe import logs
from trunkline.store.history import History
from trunkline_workers.agent import bonding, parking, reissuing, watching
from trunkline_workers.agent.beginning import body_on
from trunkline_workers.agent.colleagues import GoesElsewhere, Unreadable
from trunkline_workers.agent.live import Live
from trunkline_workers.agent.parking import DIVERGED
from trunkline_workers.agent.turn import Turn

if TYPE_CHECKING:
    from trunkline_workers.agent.activation import Activation

log = logs.get("activation")

_THROUGH = object()
SHARE = 200  # entries that are replayed before the loop has its turn
REISSUED = (StepKind.LOCAL, StepKind.TOOL, StepKind.LLM)


async def load(activation: Activation, history: History, poison: str = "") -> None:
    """Rebuild what is open. ``poison`` is why a turn of this worker could not be recorded: its runs are parked then.

    A fault in it costs this activation, and no other.
    """
    try:
        await _load(activation, history, poison)
    except asyncio.CancelledError:
        activation.close()
        raise
    except Exception as error:
        log.exception("an instance cannot be loaded; the activation is dropped", instance=activation.lease.instance)
        activation.leave(error)


async def _load(activation: Activation, history: History, poison: str) -> None:
    folded = await history.folded()
    activation.state, activation.conversation = folded.state, folded.conversation or ()
    activation.covered = history.covered
    objection = activation.agent.state.objection(folded.state)
    if objection:
        activation.leave(_unreadable(activation, folded.state, objection))
        return
    scheduled = [(row.version, row.entry) for row in history.rows if isinstance(row.entry, StepScheduled)]
    versions = {(entry.run, entry.key): version for version, entry in scheduled}
    lives = [(_known(activation, run), run) for run in folded.open_runs]
    for live, run in lives:
        remote = [key for key, step in run.open_steps.items() if StepKind(step.scheduled.kind) in REISSUED]
        if remote:
            live.remote.versions = {key: versions[run.started.run, key] for key in remote}
    if activation.suspect:
        for live, _ in lives:
            if not live.parked:
                activation.act(partial(parking.give_up, activation, live))
        return
    differences = {live.run: await _replayed(activation, live, run, folded.heard_by(run)) for live, run in lives}
    worker = _elsewhere(activation, [(live, differences[live.run]) for live, _ in lives])
    if worker is not None:
        activation.leave(GoesElsewhere(worker))
        return
    for live, run in lives:
        _take_up(activation, live, run, differences[live.run], poison)


def _unreadable(activation: Activation, state: Any, objection: str) -> Exception:
    """The state is of newer code, or its upcast fails: nothing of this code runs on it."""
    worker = activation.office.colleagues.with_state(activation.agent.name, version_of(state))
    newer = version_of(state) > activation.agent.state.version
    return GoesElsewhere(worker) if newer and worker is not None else Unreadable(objection)


def _known(activation: Activation, run: FoldedRun) -> Live:
    usage = run.usage if run.usage.calls else None
    live = Live(run.started, None, parked=run.parked, usage=usage, late=run.late)
    live.pending.update((key, step.scheduled) for key, step in run.open_steps.items())
    live.last_at = max([run.life.started.at, *(getattr(entry, "at", 0.0) for entry in run.entries)])
    activation.runs[live.run] = live
    return live


async def _replayed(activation: Activation, live: Live, run: FoldedRun, heard: Sequence[dict[str, Any]]) -> str:
    """Replay the run. Returns the difference, where it has diverged."""
    body = body_on(activation, run.started, run.state, heard)
    activation.driven = live.run
    driver = RunDriver(run.life, body, agent=activation.agent.name)
    replaying = driver.catch_up(run.entries, share=SHARE)
    try:
        while _drives(activation, replaying):  # noqa: ASYNC110 — the replay is what goes on in between
            await asyncio.sleep(0)
    except Diverged as error:
        return str(error)
    except asyncio.CancelledError:
        driver.close()
        raise
    live.driver = driver
    live.pending.update((key, step.scheduled) for key, step in driver.open_steps.items() if key in live.pending)
    return ""


def _drives(activation: Activation, replaying: Iterator[None]) -> bool:
    """Replay a share. Returns whether there is more."""
    with activation:
        return next(replaying, _THROUGH) is not _THROUGH


def _elsewhere(activation: Activation, lives: Sequence[tuple[Live, str]]) -> str | None:
    """The worker that has the code of the runs that this one's code diverges from, if there is one.

    Whoever has the code of an open run keeps the instance, so it is handed over once at most.
    """
    codes = {live.started.code for live, difference in lives if difference}
    if not codes or any(live.started.code == activation.agent.code for live, _ in lives):
        return None
    return activation.office.colleagues.with_code(activation.agent.name, codes)


def _take_up(activation: Activation, live: Live, run: FoldedRun, difference: str, poison: str) -> None:
    """A run goes on, if it can. One that is parked does the same when it is freed."""
    if _fit_to_go_on(activation, live, difference, poison):
        activation.act(partial(_go_on, activation, live, run), turn=Turn(progress=False))
    elif live.driver is not None:
        adrift = _adrift(activation, live, run)
        live.put_off = [partial(reissuing.take_up, activation, live, key) for key in adrift] or ()


def _fit_to_go_on(activation: Activation, live: Live, difference: str, poison: str) -> bool:
    """Whether the run can go on; one that has diverged is parked with the difference."""
    if difference:
        if not live.parked:
            parking.park(activation, live, DIVERGED, f"{difference} {_codes(activation, live)}")
        return False
    if poison and not live.parked:
        parking.park(activation, live, "unrecordable", poison)
    return not live.parked or live.parked == DIVERGED


def _codes(activation: Activation, live: Live) -> str:
    if live.started.code == activation.agent.code:
        return f"It began with the same code version, {live.started.code}."
    return f"It began with code version {live.started.code}, and this worker has {activation.agent.code}."


def _go_on(activation: Activation, live: Live, run: FoldedRun, turn: Turn) -> None:
    """Take up the open steps: after a death they are issued again, after a hand-over outcomes are on their way."""
    assert live.driver is not None
    reissuing.resume(activation, live, turn, by="the code fits the journal again")
    activation.follow(live, turn)
    bonding.take_up(activation, live)
    adrift = _adrift(activation, live, run)
    for step in list(live.driver.open_steps.values()):
        if step.scheduled.key in adrift:
            reissuing.retry(activation, live, step, turn, reason="takeover")
        elif StepKind(step.scheduled.kind) in REISSUED and step.scheduled.key in live.remote.versions:
            watching.watch(activation, live, step)


def _adrift(activation: Activation, live: Live, run: FoldedRun) -> list[str]:
    """The open steps that nobody may have been given: those of a worker that died, local ones, those that a dropped
    activation had no time for, and those whose attempt was to be issued after a delay, and may not have been when its
    worker left.
    """
    assert live.driver is not None
    unsent = {entry.key for entry in run.entries if isinstance(entry, StepRetried) and entry.delay}
    unsent.update(key for run_, key in activation.unsent if run_ == live.run)
    return [
        key
        for key, step in live.driver.open_steps.items()
        if StepKind(step.scheduled.kind) in REISSUED
        and key in live.remote.versions
        and step.started is None
        and (step.scheduled.kind == StepKind.LOCAL or activation.lease.takeovers or key in unsent)
    ]
