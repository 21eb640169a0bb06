"""What stands in for the workers in ``testing.run``: steps are carried out one at a time, and time passes by jumps.

Whatever can be done now is done first, in the order in which it was asked for; then waits get the test's signals and
approvals; and only when nothing else is left, the clock jumps to the next timer. So a run is the same every time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from trunkline.authoring.agent import Agent, InstanceView
from trunkline.authoring.context import CANCEL_RUN
from trunkline.domain.approvals import parts_of
from trunkline.domain.deadlines import nearest, passed
from trunkline.domain.errors import TrunklineError
from trunkline.domain.ids import child_run_id, derived_id
from trunkline.domain.journal import (
    CancelRequested,
    Entry,
    RunStarted,
    SignalReceived,
    StepCancelled,
    StepCompleted,
    StepFailed,
    StepRetried,
    StepScheduled,
)
from trunkline.domain.status import RunStatus, StepKind
from trunkline.engine.replay import OpenStep
from trunkline.testing.local_run import Asked, LocalRun
from trunkline.testing.local_work import LocalWorker

MAX_TURNS = 10_000
TICK = 0.001  # seconds that pass with every delivery


class Stuck(TrunklineError):
    """The run of agent {agent!r} waits for {waits}, and the test does not give it. {fix}"""


class Endless(TrunklineError):
    """The run of agent {agent!r} has not ended after {turns} deliveries. Does its handler go round in a loop?"""


class LocalExchange:
    """All runs of one ``testing.run``: the one under test, and those that it asks for; and ``instances``."""

    def __init__(
        self,
        agents: Mapping[str, Agent[Any, Any]],
        worker: LocalWorker,
        *,
        signals: Sequence[tuple[str, Any]],
        approvals: Mapping[str, Any],
        instances: dict[tuple[str, str], InstanceView],
        at: float,
    ) -> None:
        self._agents = agents
        self._worker = worker
        self._signals = list(signals)
        self._approvals = approvals
        self._instances = instances
        self._now = at
        self._live: list[LocalRun] = []
        self._queue: deque[LocalRun] = deque()

    async def until_ended(self, run: LocalRun) -> None:
        """Drive ``run``, and those that it asks for, to its end.

        Raises:
            Stuck: it waits for something that the test does not give.
            Endless: it does not come to an end.
        """
        self._admit(run)
        try:
            for _ in range(MAX_TURNS):
                if run.outcome.status is not RunStatus.RUNNING:
                    return
                if not (await self._work() or self._answer_wait() or self._let_time_pass()):
                    raise self._stuck()
            raise Endless(agent=run.agent.name, turns=MAX_TURNS)
        finally:
            for left in self._live:
                left.driver.close()

    # --- runs -------------------------------------------------------------------------------------------------------

    def _admit(self, run: LocalRun) -> None:
        """Start the run, or let it wait for the one that its instance handles."""
        if any(other.instance == run.instance for other in self._live):
            self._queue.append(run)
            return
        self._live.append(run)
        fresh = InstanceView("default", run.agent.name, run.key)
        self._after(run, run.start(self._instances.get(run.instance, fresh)))

    def _deliver(self, run: LocalRun, entry: Entry) -> None:
        self._after(run, run.deliver(entry))

    def _after(self, run: LocalRun, commands: list[Entry]) -> None:
        """What the handler's answer means for other runs, and for its own."""
        if run.outcome.status is not RunStatus.RUNNING and run in self._live:
            self._ended(run)
        for command in commands:
            if isinstance(command, StepCancelled) and command.key in run.asking:
                self._cancel_asked(run, command.key)
            elif isinstance(command, StepScheduled) and command.name == CANCEL_RUN:
                self._cancel_current(run, str(command.args["reason"]))

    def _ended(self, run: LocalRun) -> None:
        self._live.remove(run)
        self._instances[run.instance] = run.after
        outcome = run.outcome
        outcome.state, outcome.conversation = run.agent.state.read(run.after.state), list(run.after.conversation)
        if run.asked is not None:
            self._reply(run.asked, run)
        following = next((queued for queued in self._queue if queued.instance == run.instance), None)
        if following is not None:
            self._queue.remove(following)
            self._admit(following)

    def _reply(self, asked: Asked, child: LocalRun) -> None:
        run, at = asked.run.started.run, self._tick()
        if child.outcome.status is RunStatus.COMPLETED:
            self._deliver(
                asked.run, StepCompleted(run, key=asked.step, value=child.reply, at=at, unsafe=child.driver.unsafe)
            )
        else:
            self._deliver(asked.run, StepFailed(run, key=asked.step, error=child.outcome.error or {}, at=at))

    def _ask(self, run: LocalRun, step: StepScheduled) -> None:
        run.asking.add(step.key)
        agent, key = self._agents.get(step.options["agent"]), step.options["key"]
        error: dict[str, Any] | None = None
        if agent is None:
            message = f"agent {step.name!r} is not known here; pass apps=[…] with the app that declares it"
            error = {"type": "UnknownAgent", "message": message, "retryable": False}
        elif (agent.name, key) in run.waiting_instances:
            message = f"{agent.name}/{key} is itself waiting for this run; ask another instance, or emit an event"
            error = {"type": "AskCycle", "message": message, "retryable": False}
        if agent is None or error is not None:
            self._deliver(run, StepFailed(step.run, key=step.key, error=error or {}, at=self._tick()))
            return
        child_id, at, limit = child_run_id(step.run, step.key), self._tick(), agent.spec.timeout
        started = RunStarted(
            child_id,
            input=step.args,
            at=at,
            seed=derived_id("seed", child_id),
            message_id=f"ask:{step.key}",
            deadline=nearest(run.started.deadline, None if limit is None else at + limit),
        )
        child = LocalRun(agent, key, started, Asked(run, step.key), forgetful=run.forgetful)
        run.outcome.children.append(child.outcome)
        run.outcome.journal.asked[step.key] = child.outcome.journal
        self._admit(child)

    def _cancel_asked(self, run: LocalRun, step: str) -> None:
        for child in [*self._live, *self._queue]:
            if child.asked == Asked(run, step) and child in self._queue:
                self._queue.remove(child)
            elif child.asked == Asked(run, step):
                reason = "the run that asked no longer waits"
                self._deliver(child, CancelRequested(child.started.run, reason=reason, at=self._tick()))

    def _cancel_current(self, run: LocalRun, reason: str) -> None:
        if run.started.handler:
            run.outcome.cancelled_run = reason
        elif run in self._live:
            self._deliver(run, CancelRequested(run.started.run, reason=reason, at=self._tick()))

    # --- steps ------------------------------------------------------------------------------------------------------

    async def _work(self) -> bool:
        """Carry out the first step that can be carried out now."""
        for run in self._live:
            if not run.driver.begun:
                self._after(run, run.begin())
                return True
            for key, open_ in run.driver.open_steps.items():
                kind = open_.scheduled.kind
                if kind == StepKind.AGENT and key not in run.asking:
                    self._ask(run, open_.scheduled)
                    return True
                if kind in (StepKind.LOCAL, StepKind.TOOL, StepKind.LLM):
                    await self._attempt(run, open_)
                    return True
        return False

    async def _attempt(self, run: LocalRun, open_: OpenStep) -> None:
        entry = await self._worker.attempt(run, open_, self._tick())
        if isinstance(entry, StepRetried):
            self._now += entry.delay
        self._deliver(run, entry)

    def _answer_wait(self) -> bool:
        """Give the first open wait that the test has an answer for its signal, or its decision."""
        for run in self._live:
            for open_ in run.driver.open_steps.values():
                if open_.scheduled.kind == StepKind.WAIT and self._answered(run, open_.scheduled.name):
                    return True
        return False

    def _answered(self, run: LocalRun, name: str) -> bool:
        place = next((place for place, (signal, _) in enumerate(self._signals) if signal == name), None)
        if place is not None:
            data = self._signals.pop(place)[1]
        elif (approval := parts_of(name)) is not None and approval[0] in self._approvals:
            data = self._approvals[approval[0]]
        else:
            return False
        at = self._tick()
        entry = SignalReceived(run.started.run, name=name, data=data, at=at, message_id=f"signal:{at}")
        self._deliver(run, entry)
        return True

    def _let_time_pass(self) -> bool:
        """Jump to the next timer: a sleep is over, a wait got no answer in time, or a deadline has passed."""
        timers: list[tuple[float, LocalRun, StepScheduled | None]] = [
            (run.due[key], run, open_.scheduled)
            for run in self._live
            for key, open_ in run.driver.open_steps.items()
            if key in run.due
        ]
        timers += [
            (run.started.deadline, run, None) for run in self._live if run.started.deadline is not None and not run.late
        ]
        if not timers:
            return False
        due, run, step = min(timers, key=lambda timer: timer[0])
        self._now = max(self._now, due)
        if step is None:
            run.late = True
            self._deliver(run, CancelRequested(run.started.run, reason=passed(due), at=self._now))
        elif step.kind == StepKind.SLEEP:
            self._deliver(run, StepCompleted(step.run, key=step.key, value=None, at=self._now))
        else:
            message = f"nothing came within {step.options['timeout']:g} s"
            error = {"type": "TimedOut", "message": message, "retryable": False}
            self._deliver(run, StepFailed(step.run, key=step.key, error=error, at=self._now))
        return True

    def _tick(self) -> float:
        self._now += TICK
        return self._now

    def _stuck(self) -> Stuck:
        for run in self._live:
            for open_ in run.driver.open_steps.values():
                name = open_.scheduled.name
                if open_.scheduled.kind != StepKind.WAIT:
                    continue
                if (approval := parts_of(name)) is not None:
                    fix = f"Pass approvals={{{approval[0]!r}: True}}."
                    return Stuck(agent=run.agent.name, waits=f"the approval {approval[0]!r}", fix=fix)
                fix = f"Pass signals=[({name!r}, data)]."
                return Stuck(agent=run.agent.name, waits=f"the signal {name!r}", fix=fix)
        run = self._live[0]
        return Stuck(agent=run.agent.name, waits="a run that never ends", fix="Look at the asked agents.")
