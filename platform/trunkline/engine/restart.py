"""Whether what has ended is begun again: the kind of restart, its intensity, and what a run's journal says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from trunkline.domain.codec import printable
from trunkline.domain.incarnation import Incarnation, carried
from trunkline.domain.journal import (
    RunCompleted,
    RunFailed,
    RunRestarted,
    SignalReceived,
    StepCompleted,
    StepFailed,
    StepStarted,
)
from trunkline.domain.specs import RestartPolicy
from trunkline.domain.status import Effect, Restart, StepKind
from trunkline.engine.ending import MAX_MESSAGE
from trunkline.engine.retry import backoff
from trunkline.engine.step import OpenStep

EXHAUSTED = "RestartsExhausted"
NEVER = RestartPolicy(restart=Restart.TEMPORARY)


@dataclass(frozen=True, slots=True)
class Again:
    """Begin it again after ``delay`` seconds. ``restarts`` are the times that count from now on, this one included."""

    delay: float
    restarts: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Exhausted:
    """It was restarted too often: whoever supervises decides."""

    restarts: int
    within: float

    def __str__(self) -> str:
        return f"restarted {self.restarts} times within {self.within:g} s, and that is all it may be"


def restart(
    policy: RestartPolicy, *, failed: bool, restarts: Sequence[float], now: float, seed: str
) -> Again | Exhausted | None:
    """What becomes of something that ended ``now`` (seconds since the epoch); ``None``: it stays ended.

    ``restarts`` are the times of earlier ones. What completed by itself and is begun again (``permanent``) was no
    fault: it waits the shortest delay, and counts as well, so that a loop that does nothing is found.
    """
    if policy.restart is Restart.TEMPORARY or (policy.restart is Restart.TRANSIENT and not failed):
        return None
    recent = tuple(at for at in restarts if at > now - policy.within)
    if len(recent) >= policy.max_restarts:
        return Exhausted(len(recent), policy.within)
    nth = len(recent) + 1 if failed else 1
    return Again(backoff(policy.base, policy.cap, nth, f"{seed}:{now}"), (*recent, now))


def concluded(
    end: RunCompleted | RunFailed,
    life: Incarnation,
    policy: RestartPolicy,
    *,
    now: float,
    signals: Sequence[SignalReceived] = (),
    unsafe: str = "",
) -> RunCompleted | RunFailed | RunRestarted:
    """What the journal says where a handler came to ``end`` in the incarnation ``life``: that, or its restart, or why
    there is none.

    ``signals`` are those that no wait took; ``unsafe`` is the key of a step that began in this incarnation, or in a run
    that it waited for, and whose effect may not repeat. A failure says so, for whoever else might begin the run again.
    """
    error = end.error if isinstance(end, RunFailed) else None
    failed = error is not None
    verdict = restart(policy, failed=failed, restarts=life.restarts, now=now, seed=life.started.seed)
    if isinstance(end, RunFailed) and unsafe:
        told = end if verdict is None else _failed(end, str(end.error.get("type")), not_again(unsafe))
        return replace(told, error={**told.error, "unsafe": unsafe})
    if verdict is None:
        return end
    if isinstance(verdict, Exhausted):
        return _failed(end, EXHAUSTED, str(verdict))
    completed = end if isinstance(end, RunCompleted) else None
    return RunRestarted(
        end.run,
        at=now,
        number=life.number + 1,
        delay=verdict.delay,
        restarts=list(verdict.restarts),
        error=error,
        state=completed.state if completed else None,
        conversation=completed.conversation if completed else [],
        signals=carried(signals),
    )


def may_not_repeat(step: OpenStep, entry: StepStarted | StepCompleted | StepFailed) -> bool:
    """Whether ``entry`` says that an effect which may not repeat has begun: the step's own, or that of a run that it
    asked or watched.
    """
    if step.scheduled.options.get("effect") == Effect.UNSAFE:
        return True
    if isinstance(entry, StepFailed):
        return bool(entry.error.get("unsafe"))
    if isinstance(entry, StepCompleted) and step.scheduled.kind == StepKind.MONITOR:
        error = entry.value.get("error") if isinstance(entry.value, dict) else None
        return bool(error and error.get("unsafe"))
    return isinstance(entry, StepCompleted) and bool(entry.unsafe)


def not_again(unsafe: str) -> str:
    """Why what began the step ``unsafe`` is not begun again."""
    return f"not begun again, because step {unsafe} had an effect that may not repeat"


def _failed(end: RunCompleted | RunFailed, type_: str, why: str) -> RunFailed:
    """The failure of a run that is not begun again: with its last error, or with what its handler returned with."""
    if isinstance(end, RunCompleted):
        error: dict[str, Any] = {"type": type_, "message": why, "retryable": False, "cause": None}
        return RunFailed(end.run, error=error, state=end.state, conversation=end.conversation)
    last = f"{end.error.get('type')}: {end.error.get('message')}"
    message = f"{end.error.get('message')} ({why})" if type_ != EXHAUSTED else f"{why}; the last error was {last}"
    error = {"type": type_, "message": printable(message, MAX_MESSAGE), "retryable": False, "cause": end.error}
    return RunFailed(end.run, error=error)


def as_it_ended(recorded: RunFailed) -> RunFailed | None:
    """The failure that the handler itself came to; ``None`` where it had returned."""
    if "cause" not in recorded.error:
        own = {name: value for name, value in recorded.error.items() if name != "unsafe"}
        return replace(recorded, error=own) if own != recorded.error else recorded
    cause = recorded.error["cause"]
    return None if cause is None else RunFailed(recorded.run, error=cause)
