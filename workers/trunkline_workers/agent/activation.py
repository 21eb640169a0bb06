"""One instance in memory: mail and outcomes become deliveries, one at a time; the handler's answer becomes a turn.

Nothing here waits. A turn is applied in memory at once (the handler may run ahead of the commit, because nothing that
it does takes effect before) and submitted to the appender; what it asked for is dispatched when the commit is through.
A refused append means that another worker has the instance: the activation is dropped, and nothing of it was seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from trunkline.authoring.agent import Agent
from trunkline.domain.journal import Entry
from trunkline.domain.mail import Mail
from trunkline.domain.status import EnvelopeKind, RunStatus
from trunkline.domain.work import Outcome
from trunkline.engine.few import Few, joined
from trunkline.engine.replay import OpenStep, RunDriver
from trunkline.observe import logs
from trunkline.observe.driving import Doing, Driving
from trunkline.store.append import RunChange
from trunkline.store.leases import Lease
from trunkline_workers.agent import backlog, commands, incarnations, lateness, mail, outcomes, parking, queue, reissuing
from trunkline_workers.agent.beginning import body_of, entry_of, row_of
from trunkline_workers.agent.issuing import Window
from trunkline_workers.agent.legacy import NOTHING, Places
from trunkline_workers.agent.live import Live
from trunkline_workers.agent.local_steps import LocalStep
from trunkline_workers.agent.office import Office
from trunkline_workers.agent.outcomes import StepResult
from trunkline_workers.agent.tray import Tray, Waiting
from trunkline_workers.agent.turn import Turn

Lost = Callable[["Activation", BaseException | None, Iterable[int]], None]

log = logs.get("activation")

NONE_REFUSED: Mapping[int, str] = MappingProxyType({})


class Activation(Driving):
    """``lost`` is called once, with the error and the mail behind it, when a turn could not be made true; with no error
    when the instance is to be loaded anew.

    ``refused`` is mail from which an earlier activation could make nothing that can be recorded, with the reason, and
    ``unsent`` are steps that it gave to nobody.
    ``suspect`` says that worker after worker died with the instance: nothing of its code is run again.
    """

    # An instance that sleeps here costs what this and its runs hold: what is empty is shared, or not there.
    __slots__ = (
        "_lost", "_newest", "_window", "agent", "closed", "conversation", "covered", "driven", "due", "early", "head",
        "lease", "local", "office", "queue", "refused", "runs", "state", "suspect", "touched", "tray", "unsent",
        "unsettled",
    )  # fmt: skip

    def __init__(self, lease: Lease, agent: Agent[Any, Any], office: Office, lost: Lost) -> None:
        self.lease = lease
        self.agent = agent
        self.office = office
        self.head = lease.head
        self.covered = 0  # the version of the newest snapshot
        self.state: Any = None
        self.conversation: Sequence[dict[str, Any]] = ()  # never changed in itself: runs were given it
        self.runs: Few[str, Live] = Few()
        self.queue: Waiting = ()  # requests that wait for the current run's end
        self.early: Waiting = ()  # signals that came before their run began
        self.tray = Tray()
        self._window: Window | None = None
        self.local: dict[tuple[str, str], LocalStep] | None = None  # those under way here, by run and key
        self.unsettled = 0  # commits under way
        self.touched = self.office.time()
        self.due = math.inf  # the loop's time at which a step is to be looked after
        self.refused: Mapping[int, str] = NONE_REFUSED
        self.unsent: Places = NOTHING.unsent
        self.suspect = lease.takeovers >= office.settings.takeovers
        self.closed = False
        self.driven = ""  # the run whose handler was called last
        self._lost = lost
        self._newest: Turn | None = None  # what was submitted last, as far as it is not committed

    def doing(self) -> Doing:
        return Doing("agent", self.agent.name, self.lease.instance, self.driven)

    # --- what comes in ----------------------------------------------------------------------------------------------

    def take(self, letter: Mail, turn: Turn) -> None:
        reason = self.refused.get(letter.seq)
        if reason is not None:
            mail.refuse(self, letter, turn, reason)
        else:
            mail.HANDLERS[EnvelopeKind(letter.kind)](self, letter, turn)

    def current(self) -> Live | None:
        """The run that the instance handles now, if any; handlers of events run beside it and do not count."""
        return next((live for live in self.runs.values() if live.main), None)

    # --- runs -------------------------------------------------------------------------------------------------------

    def heard(self, messages: Sequence[dict[str, Any]]) -> None:
        """A run has ended, or begins anew: what it said belongs to the conversation from now on."""
        if messages:
            self.conversation = [*self.conversation, *messages]

    def start(self, letter: Mail, turn: Turn) -> Live:
        """Begin the run that a request or an event asks for."""
        started = entry_of(self, letter)
        live = Live(started, None, last_at=started.at)
        self.runs[live.run] = live
        lateness.begin(self, started, turn)
        turn.entries.append(started)
        turn.more.taken.append(letter.seq)
        turn.more.runs[live.run] = row_of(started)
        turn.after.append(self.office.run_began)
        if self.suspect:
            parking.give_up(self, live, turn)
            return live
        self.driven = live.run
        live.driver = RunDriver(started, body_of(self, started), agent=self.agent.name)
        live.driver.start()
        self.follow(live, turn)
        if live.main:
            mail.deliver_early(self, live, turn)
        return live

    def deliver(self, live: Live, entry: Entry, turn: Turn) -> None:
        """Apply one delivery to the handler, and everything that it does until it blocks."""
        turn.entries.append(entry)
        live.last_at = max(live.last_at, getattr(entry, "at", 0.0))
        self.driven = live.run
        assert live.driver is not None, "a parked run takes no deliveries"
        live.driver.deliver(entry)
        self.follow(live, turn)

    def follow(self, live: Live, turn: Turn) -> None:
        """Carry over what the handler did since the last delivery."""
        while True:
            driver = live.driver
            assert driver is not None, "a parked run does nothing"
            for command in driver.take_commands():
                ending = type(command) in incarnations.ENDS
                entry = incarnations.as_recorded(self, live, command) if ending else command
                turn.entries.append(entry)
                commands.HANDLERS[type(entry)](self, live, entry, turn)
            if live.driver is not driver:
                continue
            if not turn.immediate:
                break
            failed = turn.immediate.pop(0)
            if failed.key in live.pending:
                live.settled(failed.key)
                turn.entries.append(failed)
                driver.deliver(failed)
        if live.run in self.runs:
            self._mark_waiting(live, driver, turn)
            if live.backlog is not None:
                backlog.go_on(self, live, turn)
        elif live.main:
            queue.go_on(self, turn)

    def _mark_waiting(self, live: Live, driver: RunDriver, turn: Turn) -> None:
        status = RunStatus.WAITING if driver.waiting else RunStatus.RUNNING
        if status is not live.status:
            live.status = status
            self.change(live, turn).status = status

    def change(self, live: Live, turn: Turn) -> RunChange:
        """The one change to the run's row in this turn."""
        return turn.more.runs.setdefault(live.run, RunChange(run=live.run, status=live.status))

    @property
    def window(self) -> Window:
        """Made when it is first asked for: an instance without tool and model calls under way has none."""
        if self._window is None:
            self._window = Window(self, self.office.settings.max_issued)
        return self._window

    def send_all(self) -> None:
        """Send out the calls that wait for their turn: another worker takes all that is open to be out."""
        if self._window is not None:
            self._window.flush()

    @property
    def paused(self) -> bool:
        """Whether no run of this agent begins just now."""
        return self.lease.agent in self.office.pauses

    # --- steps ------------------------------------------------------------------------------------------------------

    def outcome(self, outcome: Outcome, done: Callable[[], None]) -> bool:
        """An outcome came by the bus; ``done`` is called when it is recorded, or when it came too late to count.

        Returns:
            False when it must be kept as mail, because its run is parked.
        """
        result = StepResult.of(outcome)
        if outcomes.must_wait(self, result):
            return False
        turn = Turn(after=[done])
        self.act(partial(outcomes.settle, self, result), turn=turn)
        if turn.empty:
            self.too_late(outcome, done)
        return True

    def too_late(self, outcome: Outcome, done: Callable[[], None]) -> None:
        """Hold an outcome that no longer counts against the journal, and call ``done`` when nothing of it can be lost.

        It may be a repeat of one that is not recorded yet, so the commits under way come first. Without them, or
        without this activation, ``done`` is never called.
        """
        examine = partial(self.office.conflicts.examine, outcome, done)
        if self._newest is not None:
            self._newest.after.append(examine)
        elif not self.closed:
            examine()

    def retry(self, live: Live, step: OpenStep, reason: str) -> None:
        """Issue an open step again, as its next attempt."""
        self.act(partial(reissuing.retry, self, live, step, reason=reason), turn=Turn(progress=False))

    def look_again(self, live: Live, key: str, wait: float) -> None:
        """Look after the step in ``wait`` seconds, unless it has ended by then."""
        at = self.office.time() + max(wait, 0.0)
        live.remote.overdue[key] = at
        self.due = min(self.due, at)

    def run_local(self, live: Live, open_: OpenStep) -> None:
        """Carry out an open local step in this process."""
        key = open_.scheduled.key
        step = LocalStep(self, live.run, key, open_.attempt, open_.payload)
        if self.local is None:
            self.local = {}
        self.local[live.run, key] = step
        self.office.local_steps.begin(step)

    def stop_local(self, run: str, key: str) -> None:
        """Nobody waits for the local step any more."""
        step = self.local.pop((run, key), None) if self.local is not None else None
        if step is not None:
            step.stop()
            self.local = self.local or None

    def carried_out(self, step: LocalStep, value: Any, error: dict[str, Any] | None) -> None:
        """The outcome of a local step takes the same way as that of a tool; if its run is parked, when that goes on."""
        assert self.local is not None, "a step that was stopped tells nobody"
        del self.local[step.run, step.key]
        self.local = self.local or None
        result = StepResult(step.run, step.key, step.attempt, self.office.worker, value, error)
        settle = partial(self.act, partial(outcomes.settle, self, result))
        live = self.runs.get(step.run)
        if live is not None and live.parked:
            live.put_off = joined(live.put_off, lambda turn: turn.after.append(settle))
        else:
            settle()

    def take_held(self, live: Live) -> None:
        """The run goes on after repair: give it the mail that came meanwhile."""
        self.act(partial(backlog.give_waiting, self, live))
        letters, live.held = live.held, ()
        self.tray.forget(letter.seq for letter in letters)
        self.tray.put(letters)
        self.office.unread(self)

    def version_after(self, turn: Turn) -> int:
        """The journal version that the last entry of ``turn`` will have."""
        return self.head + len(turn.entries)

    def now(self, live: Live, due: float = 0.0) -> float:
        """The time of the next delivery: Postgres's clock as known here, which may be behind. So it is never before the
        run's last delivery, nor before what was ``due``.
        """
        return max(self.office.clock.now(), live.last_at, due)

    # --- commits ----------------------------------------------------------------------------------------------------

    def act(self, work: Callable[[Turn], object], *, turn: Turn | None = None, letters: Iterable[int] = ()) -> None:
        """Do ``work`` on a turn, and submit it. A fault in it costs this activation, and no other."""
        turn = turn or Turn()
        try:
            with self:
                work(turn)
        except Exception as error:
            log.exception("a turn failed; the activation is dropped", instance=self.lease.instance)
            self.leave(error, letters)
        self.submit(turn)

    def leave(self, error: BaseException | None, letters: Iterable[int] = ()) -> None:
        """Have the registry drop this activation, and load the instance anew if it is still this worker's."""
        self._lost(self, error, letters)

    def submit(self, turn: Turn) -> None:
        """Hand the turn to the appender; go on without waiting for it."""
        if turn.empty or self.closed:
            return
        self.touched = self.office.time()
        append = turn.append(self.lease, self.office.worker, self.head)
        self.head += len(turn.entries)
        self.unsettled += 1
        self._newest = turn
        self.office.appender.submit(append, partial(self._committed, turn))

    def _committed(self, turn: Turn, error: BaseException | None) -> None:
        self.unsettled -= 1
        if self._newest is turn:
            self._newest = None
        if self.closed:
            return
        if error is not None:
            self.leave(error, turn.letters)
            return
        if turn.letters:
            self.tray.forget(turn.letters)
        if turn.progress:
            self.office.progressed(len(turn.entries))
        fault = turn.follow_up()
        if fault is not None:
            self.leave(fault)
            return
        if self._window is not None and any(live.calls for live in self.runs.values()):
            self._window.refill_soon()
        else:
            self._window = None  # all that went out is back
        if self.tray:
            self.office.unread(self)

    # --- the end of the activation ----------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Nothing under way that memory is needed for: no run, or only runs that wait for a person, timer or reply; and
        nobody in the queue who could begin.
        """
        if self.unsettled or self.local or self.tray or (self.queue and not self.runs and not self.paused):
            return False
        return all(live.driver is None or live.parked or live.driver.waiting for live in self.runs.values())

    def close(self) -> None:
        """Leave memory. Nothing is journalled; contexts that are still in somebody's hands raise from now on."""
        self.closed = True
        self._window = None  # it points back here, and garbage in rings stays for long
        for step in (self.local or {}).values():
            step.stop()
        for live in self.runs.values():
            if live.driver is not None:
                live.driver.close()
