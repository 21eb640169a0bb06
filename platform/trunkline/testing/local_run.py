"""One run in ``testing.run``: an engine driver with its journal, as an agent worker would keep it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from trunkline.authoring.agent import Agent, InstanceView
from trunkline.authoring.context import CANCEL_RUN
from trunkline.domain.errors import Diverged, TrunklineError
from trunkline.domain.events import CloudEvent
from trunkline.domain.ids import derived_id
from trunkline.domain.incarnation import Incarnation
from trunkline.domain.journal import (
    Entry,
    RunCancelled,
    RunCompleted,
    RunContinued,
    RunFailed,
    RunRestarted,
    RunStarted,
    StepScheduled,
)
from trunkline.domain.status import RunStatus, StepKind
from trunkline.engine.difference import difference
from trunkline.engine.replay import Continuation, RunDriver, RunResult
from trunkline.engine.restart import NEVER, concluded
from trunkline.testing.outcome import RunOutcome


class NeedsExchange(TrunklineError):
    """The handler of agent {agent!r} uses {what}, and testing.run knows one run and those that it asks for. Test it
    with the fixture exchange: async with exchange(app) as tl.
    """


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked for a run, and in which step."""

    run: LocalRun
    step: str


class LocalRun:
    """``due`` are the open timers: step key to the time at which each is over (seconds since the epoch).

    ``after`` is the instance as the run leaves it; ``reply`` the JSON that whoever asked for the run gets. One that is
    ``forgetful`` loses its handler's memory before every delivery, and gets it back from the journal.
    """

    def __init__(
        self,
        agent: Agent[Any, Any],
        key: str,
        started: RunStarted,
        asked: Asked | None = None,
        *,
        forgetful: bool = False,
    ) -> None:
        self.agent = agent
        self.key = key
        self.started = started
        self.asked = asked
        self.forgetful = forgetful
        self.outcome: RunOutcome[Any] = RunOutcome(run=started.run, agent=agent.name, key=key)
        self.due: dict[str, float] = {}
        self.asking: set[str] = set()  # agent steps whose runs have been asked for
        self.reply: Any = None
        self.late = False  # its deadline has passed, and it was told

    def start(self, view: InstanceView) -> list[Entry]:
        """Begin with the instance as it is now, and return what the handler did."""
        self.before = self.after = view
        self.driver = RunDriver(Incarnation(self.started), self._body(), agent=self.agent.name)
        self.outcome.journal.append(self.started)
        self.driver.start()
        return self._take()

    def deliver(self, entry: Entry) -> list[Entry]:
        """Apply one delivery, and return what the handler did in answer.

        Raises:
            Diverged: the run is forgetful, and its handler did something else than it did before.
        """
        if self.forgetful and self.driver.begun and not self.driver.ended:
            self._forget()
        if not self.driver.deliver(entry):
            return []
        self.outcome.journal.append(entry)
        return self._take()

    @property
    def instance(self) -> tuple[str, str]:
        return self.agent.name, self.key

    @property
    def waiting_instances(self) -> set[tuple[str, str]]:
        """The run's instance, and those that wait for it to end."""
        return {self.instance} | (self.asked.run.waiting_instances if self.asked else set())

    def _forget(self) -> None:
        """What a crash leaves: the journal, from which another worker rebuilds the handler."""
        self.driver.close()
        self.driver = RunDriver.replay(self.outcome.journal, self._body(), agent=self.agent.name)
        more = self.driver.take_commands()
        if more:
            self.driver.close()
            raise Diverged(run=self.started.run, difference=difference(None, more[0]))

    def _body(self) -> Callable[[RunDriver], Coroutine[Any, Any, RunResult | Continuation]]:
        view = replace(self.before, conversation=list(self.before.conversation))
        return partial(self.agent.coroutine, view=view)

    def _take(self) -> list[Entry]:
        taken: list[Entry] = []
        while commands := [self._as_recorded(command) for command in self.driver.take_commands()]:
            taken += commands
            self.outcome.journal.extend(commands)
            for command in commands:
                if isinstance(command, StepScheduled):
                    self._scheduled(command)
                elif isinstance(command, RunContinued | RunRestarted):
                    self._begin_anew(command)
                else:
                    self._note_end(command)
        return taken

    def _as_recorded(self, command: Entry) -> Entry:
        """What an agent worker would journal: the end of a run may be its restart instead."""
        driver = self.driver
        if not isinstance(command, RunCompleted | RunFailed):
            return command
        ends = self.started.handler or driver.final or self.late
        policy, left = NEVER if ends else self.agent.spec.restart, driver.leftover_signals()
        return concluded(command, driver.life, policy, now=driver.now, signals=left, unsafe=driver.unsafe)

    def _begin_anew(self, entry: RunContinued | RunRestarted) -> None:
        self._change(entry.state, entry.conversation)
        self.before = self.after
        self.driver = RunDriver(self.driver.life.next(entry), self._body(), agent=self.agent.name)
        if isinstance(entry, RunRestarted):
            self.driver.start()

    def begin(self) -> list[Entry]:
        """Begin the next incarnation, which is still to begin, and return what the handler did."""
        self.driver.start()
        return self._take()

    def _note_end(self, command: Entry) -> None:
        outcome = self.outcome
        if isinstance(command, RunCompleted):
            self._completed(command)
        elif isinstance(command, RunFailed):
            self._change(command.state, command.conversation)
            outcome.status, outcome.error = RunStatus.FAILED, command.error
        elif isinstance(command, RunCancelled):
            outcome.status = RunStatus.CANCELLED
            outcome.error = {"type": "Cancelled", "message": command.reason, "retryable": False}

    def _completed(self, entry: RunCompleted) -> None:
        self._change(entry.state, entry.conversation)
        self.reply = entry.output
        self.outcome.status = RunStatus.COMPLETED
        self.outcome.value = entry.output if self.started.handler else self.agent.output.decode(entry.output)

    def _change(self, state: Any, said: list[dict[str, Any]]) -> None:
        """Record what a handler leaves of its instance."""
        before = self.after
        state, conversation = before.state if state is None else state, [*before.conversation, *said]
        self.after = InstanceView(before.tenant, before.agent, before.key, state, conversation)

    def _scheduled(self, step: StepScheduled) -> None:
        if step.kind in (StepKind.SPAWN, StepKind.MONITOR):
            raise NeedsExchange(agent=self.agent.name, what=f"ctx.{step.kind}")
        if step.kind == StepKind.EMIT and step.name != CANCEL_RUN:
            self.outcome.emitted.append(self._event(step))
        limit = step.options.get("delay" if step.kind == StepKind.SLEEP else "timeout")
        if step.kind in (StepKind.SLEEP, StepKind.WAIT) and limit is not None:
            self.due[step.key] = self.driver.now + limit

    def _event(self, step: StepScheduled) -> CloudEvent:
        id_ = derived_id("emit", step.run, step.key)
        time = datetime.fromtimestamp(self.driver.now, UTC)
        return CloudEvent(id=id_, source=f"trunkline/{self.agent.name}", time=time, **step.args)
