"""What must come of what was asked for: the reference that an exchange is held against.

It knows what a run may give, what was told it on the way (signals, failures, decisions), and nothing of leases, wakes,
attempts or epochs: none of these may be seen in the end.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from property.exchange_agents import FACTORS, FAILED
from property.exchange_hands import Done, key_of

AS_TOLD = 555  # what somebody says an unsafe step gave, who has found out that it happened

Place = tuple[str, int]  # a run, and which part of its plan


@dataclass
class Asked:
    """A run that was accepted."""

    run: str
    key: str
    message_id: str
    plan: list[Any]
    signals: dict[str, int] = field(default_factory=dict)  # by message id
    cancelled: bool = False

    @property
    def owed(self) -> int:
        """Signals without which it cannot end."""
        return max(sum(what in WAITS for what, *_ in self.plan) - len(self.signals), 0)


@dataclass(frozen=True)
class Ended:
    """A row of ``runs``, as it is in the end."""

    run: str
    instance: str
    agent: str
    key: str
    parent: str
    plan: list[Any]
    status: str
    output: dict[str, Any] | None
    last_version: int


@dataclass(frozen=True)
class Past:
    """What took place outside, where a failure was told, and the message ids of the dead letters."""

    effects: Sequence[Done]
    failed: set[Place]
    dead: list[str]


@dataclass
class Model:
    """Filled by the test's moves; ``violations`` holds what came of them against it."""

    asked: dict[str, Asked] = field(default_factory=dict)
    decided: dict[Place, set[str]] = field(default_factory=lambda: defaultdict(set))
    again: Counter[Place] = field(default_factory=Counter)
    timed_out: set[str] = field(default_factory=set)  # runs of which a wait's timer was fired

    def violations(self, runs: Sequence[Ended], past: Past) -> Iterator[str]:
        """What is wrong, a sentence each."""
        ended = {one.run: one for one in runs}
        for run in self.asked:
            if run not in ended:
                yield f"run {run} was accepted and is nowhere"
        for one in runs:
            if one.run not in self.asked and not one.parent:
                yield f"run {one.run} was never asked for"
            yield from self._run(one, ended, past)
        yield from _states(runs)
        yield from self._effects(past.effects)

    def _run(self, one: Ended, ended: dict[str, Ended], past: Past) -> Iterator[str]:
        if one.status == "failed" and any(what == "boom" for what, *_ in one.plan):
            return
        if one.status == "cancelled" and self._may_be_cancelled(one, ended):
            return
        if one.status != "completed" or one.output is None:
            yield f"run {one.run} of {one.agent}/{one.key} is {one.status}"
            return
        seen = one.output["seen"]
        if len(seen) != len(one.plan) or sum(seen) != one.output["total"]:
            yield f"run {one.run} gave {one.output} for {one.plan}"
            return
        for place, (value, (what, number, inner)) in enumerate(zip(seen, one.plan, strict=True)):
            facts = _Facts(one.run, place, ended, past, self)
            if value not in facts.may_give(what, number, inner):
                may = sorted(facts.may_give(what, number, inner))
                yield f"run {one.run}: {what} {number} at {place} gave {value}, and may give {may}"
        yield from self._signals(one, seen, past)
        for kinds, agent in ((OWN, "errand"), (("shared",), "till")):
            asked = [other.run for other in ended.values() if other.parent == one.run and other.agent == agent]
            if len(asked) != sum(part in kinds for part, *_ in one.plan):
                yield f"run {one.run} began {asked} for {one.plan}"

    def _signals(self, one: Ended, seen: list[int], past: Past) -> Iterator[str]:
        """Each was given to the run once, or kept as a dead letter."""
        taken = [value for value, (what, *_) in zip(seen, one.plan, strict=True) if what in WAITS and value != FAILED]
        if len(set(taken)) != len(taken):
            yield f"run {one.run} took a signal twice: {taken}"
        for message_id, value in (self.asked[one.run].signals if one.run in self.asked else {}).items():
            if (value in taken) == (message_id in past.dead):
                yield f"signal {message_id} of run {one.run} is among {taken} taken and {past.dead} dead letters"

    def _may_be_cancelled(self, one: Ended, ended: dict[str, Ended]) -> bool:
        asked = self.asked.get(one.run)
        if asked is not None:
            tied = any(what == "tied" for what, *_ in one.plan)
            failed = any(other.parent == one.run and other.status == "failed" for other in ended.values())
            return asked.cancelled or (tied and failed)
        return one.agent == "errand" and one.parent in ended and ended[one.parent].status == "cancelled"

    def _effects(self, effects: Sequence[Done]) -> Iterator[str]:
        executions = Counter(done.execution for done in effects)
        yield from (f"execution {one} had its effect {n} times" for one, n in executions.items() if n > 1)
        unsafe = Counter((done.run, done.place) for done in effects if done.tool == "pay")
        for where, n in unsafe.items():
            if n > 1 + self.again[where]:
                yield f"an unsafe step took effect {n} times, and was tried again {self.again[where]} times: {where}"
        for done in effects:
            if done.key != key_of(done.run, done.step):
                yield f"{done} went out under another step's key"


WAITS = ("wait", "patient")
OWN = ("child", "spawned", "tied")  # runs of instances of the step's own


@dataclass(frozen=True)
class _Facts:
    """What is known of one place of a run's plan."""

    run: str
    place: int
    ended: dict[str, Ended]
    past: Past
    model: Model

    def may_give(self, what: str, number: int, inner: list[Any]) -> set[int]:
        if what in ("look", "post", "pay"):
            return self._tool(what, number)
        if what == "both":
            both = {tool for tool in ("post", "look") if self._took_place(tool)}
            return ({number * (FACTORS["post"] + FACTORS["look"])} if len(both) == 2 else set()) | self._failure()
        if what in WAITS:
            signals = set(self.model.asked[self.run].signals.values())
            return signals | ({FAILED} if what == "patient" and self.run in self.model.timed_out else set())
        if what in (*OWN, "shared"):
            return self._asked_run(inner if what in OWN else [["local", number, []]])
        return {0 if what in ("nap", "anew", "trip") else number * FACTORS[what]}

    def _tool(self, tool: str, number: int) -> set[int]:
        may = {number * FACTORS[tool]} if self._took_place(tool) else set()
        decided = self.model.decided[self.run, self.place]
        if "happened" in decided:
            may.add(AS_TOLD)
        if "failed" in decided:
            may.add(FAILED)
        return may | self._failure()

    def _took_place(self, tool: str) -> bool:
        return any((done.run, done.place, done.tool) == (self.run, self.place, tool) for done in self.past.effects)

    def _failure(self) -> set[int]:
        return {FAILED} if (self.run, self.place) in self.past.failed else set()

    def _asked_run(self, plan: list[Any]) -> set[int]:
        children = [one for one in self.ended.values() if one.parent == self.run and one.plan == plan]
        done = {one.output["total"] for one in children if one.output is not None}
        return done | {FAILED for one in children if one.status in ("failed", "cancelled")}


def _states(runs: Sequence[Ended]) -> Iterator[str]:
    """A run finds the sum of all that completed on its instance before."""
    totals: Counter[str] = Counter()
    for one in sorted(runs, key=lambda one: one.last_version):
        if one.output is not None:
            before, total = one.output["before"], totals[one.instance]
            if before != total:
                yield f"run {one.run} of {one.agent}/{one.key} began at {before}, and not at {total}"
            totals[one.instance] += one.output["total"]
