"""What is done to the exchange, and when: decided before it begins, and the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What can be done to a part."""

    KILL = "kill"  # SIGKILL; it is started again
    PAUSE = "pause"  # SIGSTOP for longer than its lease, then SIGCONT
    WIPE = "wipe"  # SIGKILL, and everything that it kept is gone


class Part(StrEnum):
    """What can be killed."""

    AGENTS = "agents"
    TOOLS = "tools"
    LLM = "llm"
    SUPERVISOR = "supervisor"
    GATEWAY = "gateway"
    NATS = "nats"
    POSTGRES = "postgres"


class Pausable(StrEnum):
    """What can be paused: processes of ours."""

    AGENTS = "agents"
    TOOLS = "tools"
    LLM = "llm"
    SUPERVISOR = "supervisor"
    GATEWAY = "gateway"


WORKERS = frozenset({Part.AGENTS, Part.TOOLS, Part.LLM})  # what holds work by name


@dataclass(frozen=True, slots=True)
class Strike:
    """One thing that is done to one part."""

    action: Action
    part: Part

    def __str__(self) -> str:
        return f"{self.action} {self.part}"


@dataclass(frozen=True, slots=True)
class Slot:
    """A stretch of the time: ``runs`` are started in it, spread evenly, and ``strike`` comes at ``moment``, a share of
    its length from 0 to 1.
    """

    strike: Strike
    moment: float
    runs: range


def plan(asked: Sequence[Strike], *, times: int, runs: int, seed: int) -> list[Slot]:
    """Each of ``asked`` ``times`` times, in turns, and the runs 1 to ``runs`` shared out evenly among the slots."""
    dice = random.Random(seed)  # noqa: S311 - it is to come out the same again
    strikes = [strike for _ in range(times) for strike in asked]
    ends = [runs * place // len(strikes) for place in range(len(strikes) + 1)]
    return [
        Slot(strike, dice.uniform(0.2, 0.8), range(ends[place] + 1, ends[place + 1] + 1))
        for place, strike in enumerate(strikes)
    ]
