"""A program run live under a random schedule of what happens outside, with the journal that comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from property.programs import Node, body_of
from trunkline.domain.codec import dumps, loads
from trunkline.domain.incarnation import BEGINNINGS
from trunkline.domain.journal import (
    CancelRequested,
    Entry,
    RunCompleted,
    RunFailed,
    RunParked,
    RunResumed,
    RunStarted,
    SignalReceived,
    StepCompleted,
    StepFailed,
    StepRetried,
    StepStarted,
    decode,
)
from trunkline.domain.specs import RestartPolicy
from trunkline.domain.status import Restart
from trunkline.engine.replay import RunDriver
from trunkline.engine.restart import concluded

STARTED = RunStarted("run", input=None, at=100.0, seed="seed", message_id="m")

KINDS = [*["complete"] * 6, *["fail"] * 2, *["signal"] * 3, "cancel", "late", "retry", "permit", "park"]
Move = tuple[str, int]
moves = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 50)), max_size=30)


@dataclass(frozen=True)
class Told:
    """A journal entry as it is read back, and whether it was the handler's doing."""

    entry: Entry
    command: bool


def stored(entry: Entry) -> Entry:
    """The entry as a reader of the journal gets it."""
    return decode("instance", entry.TYPE, entry.run, loads(dumps(entry.body())))


POLICY = RestartPolicy(restart=Restart.TRANSIENT, max_restarts=1)


class Handler:
    """A run's driver, in whichever incarnation it is: what an owner does with a handler that begins anew."""

    def __init__(self, program: Node, driver: RunDriver) -> None:
        self.program, self.driver = program, driver

    def take(self) -> list[Entry]:
        """What the handler did, as it is journalled."""
        taken: list[Entry] = []
        while commands := self.driver.take_commands():
            for command in commands:
                taken.append(stored(self._as_recorded(command)))
                self._begin_anew(taken[-1])
        return taken

    def _as_recorded(self, command: Entry) -> Entry:
        if not isinstance(command, RunCompleted | RunFailed):
            return command
        driver = self.driver
        return concluded(command, driver.life, POLICY, now=driver.now, signals=driver.leftover_signals())

    def _begin_anew(self, entry: Entry) -> None:
        if isinstance(entry, BEGINNINGS):
            self.driver = RunDriver(self.driver.life.next(entry), body_of(self.program), agent="agent")
            self.driver.start()


class Life:
    """``journal`` is what is stored; ``handler`` lives on."""

    def __init__(self, program: Node, schedule: list[Move]) -> None:
        self.program = program
        self.handler = Handler(program, RunDriver(STARTED, body_of(program), agent="agent"))
        self.journal = [Told(stored(STARTED), command=False)]
        self.driver.start()
        self._take()
        for turn, (move, number) in enumerate(schedule):
            for entry in self._happens(move, number, 101.0 + turn):
                self._deliver(entry)

    @property
    def driver(self) -> RunDriver:
        return self.handler.driver

    @property
    def entries(self) -> list[Entry]:
        return [told.entry for told in self.journal]

    def _deliver(self, entry: Entry) -> None:
        kept = stored(entry)  # as the worker's appender would, only before the handler could change anything
        if self.driver.deliver(entry):
            self.journal.append(Told(kept, command=False))
        self._take()

    def _take(self) -> None:
        self.journal += [Told(entry, command=True) for entry in self.handler.take()]

    def _happens(self, move: str, number: int, at: float) -> list[Entry]:
        if move == "signal":
            return [SignalReceived("run", name="abc"[number % 3], data={"n": [number]}, at=at, message_id=f"s{at}")]
        if move == "cancel":
            return [CancelRequested("run", reason=f"test {number}", at=at)] if number < 25 else []
        if move == "park":
            return [RunParked("run", reason="outcome-unknown", detail=""), RunResumed("run", by="test", at=at)]
        if move == "late":
            return [StepCompleted("run", key=key, value="too late", at=at) for key in self._closed()[:1]]
        steps = list(self.driver.open_steps)
        return [self._of_step(move, steps[number % len(steps)], number, at)] if steps else []

    def _of_step(self, move: str, key: str, number: int, at: float) -> Entry:
        attempt = self.driver.open_steps[key].attempt
        if move == "retry":
            return StepRetried("run", key=key, attempt=attempt + 1, reason="failed")
        if move == "permit":
            return StepStarted("run", key=key, attempt=attempt, execution="e", worker="w", begin_by=at)
        if move == "fail":
            return StepFailed("run", key=key, error={"type": "Broken", "message": str(number)}, at=at)
        return StepCompleted("run", key=key, value={"n": number}, at=at, attempt=attempt)

    def _closed(self) -> list[str]:
        keys: list[Any] = [getattr(entry, "key", "") for entry in self.entries if entry.TYPE == "StepCompleted"]
        return [key for key in keys if key not in self.driver.open_steps]
