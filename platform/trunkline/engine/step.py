"""Handles: what a ``ctx`` call gives, made synchronously and awaited: recorded steps, branches and groups.

A handle is awaited by yielding itself to whoever drives the coroutine (``branches.Loop``), and resumed when it is done.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeVar

from trunkline.domain.errors import AskFailed, ModelFailed, StepError, TimedOut, ToolFailed
from trunkline.domain.journal import StepScheduled, StepStarted

T = TypeVar("T")

CANCELLED: dict[str, Any] = {"type": "Cancelled", "message": "nobody waits for it any more", "retryable": False}

_FAILURES: dict[str, type[StepError]] = {
    "tool": ToolFailed,
    "llm": ModelFailed,
    "agent": AskFailed,
    "wait": TimedOut,
}


class Step(Generic[T]):
    """The handle of something under way. Await it for its value, as often as you like; ``done`` says if it is there.

    Awaiting raises a ``StepError`` (``ToolFailed``, ``ModelFailed``, ``AskFailed``, ``TimedOut``) when a recorded step
    failed, and the branch's own error when a branch did.
    """

    __slots__ = ("done", "error", "key", "loop", "waiter")

    def __init__(self, loop: object, key: str) -> None:
        self.loop = loop
        self.key = key
        self.done = False
        self.error: Any = None  # a failure's JSON, an exception, or the member that made a group fail
        self.waiter: Any = None  # who is told when it is done: nobody, one, or a list

    def __await__(self) -> Generator[Any, None, T]:
        return self  # type: ignore[return-value]  # a generator for each wait would be 200 bytes of a run that sleeps

    def __next__(self) -> Step[T]:
        """What an ``await`` goes through: the handle itself until it is done, then its value."""
        if not self.done:
            return self
        try:
            value = self._outcome()
        except StopIteration as error:  # of somebody's decoder: it must not be taken for a value
            raise RuntimeError("StopIteration was raised where a value is read") from error
        raise StopIteration(value)

    def __repr__(self) -> str:
        state = "open" if not self.done else "done" if self.error is None else "failed"
        return f"<step {self.key} {state}>"

    def result(self) -> T:
        """The value, without waiting; raises what awaiting would raise.

        Raises:
            RuntimeError: the step is not done.
        """
        if not self.done:
            raise RuntimeError(f"step {self.key} has no result yet: await it")
        return self._outcome()

    def _outcome(self) -> T:
        if self.error is not None:
            self._fail(self.error)
        return self._value()

    def _value(self) -> T:
        raise NotImplementedError

    def _fail(self, error: Any) -> NoReturn:
        if isinstance(error, Step):
            error.result()
        if isinstance(error, BaseException):
            raise error
        raise step_error("", self.key, error)


class Recorded(Step[T]):
    """One recorded effect. ``value`` is the JSON that the journal holds, until the first await decodes it."""

    __slots__ = ("branch", "decode", "kind", "value")

    def __init__(self, loop: object, key: str, kind: str, branch: object, decode: Callable[[Any], T]) -> None:
        # Spelled out rather than by super(): this is the hot path.
        self.loop = loop
        self.key = key
        self.done = False
        self.error = None
        self.waiter = None
        self.kind = kind
        self.branch = branch
        self.decode: Callable[[Any], T] | None = decode
        self.value: Any = None

    def _value(self) -> T:
        decode = self.decode
        if decode is not None:
            self.value = decode(fresh(self.value))
            self.decode = None
        value: T = self.value
        return value

    def _fail(self, error: Any) -> NoReturn:
        raise step_error("" if error is CANCELLED else self.kind, self.key, error)


@dataclass(slots=True)
class OpenStep:
    """A step without an outcome: what was asked for, and the attempt it is at.

    ``started`` is the permit given for this attempt. ``payload`` is what carries it out needs beyond the journalled
    ``args``; it is never journalled, because the handler makes it again on replay.
    """

    scheduled: StepScheduled
    handle: Recorded[Any]
    payload: Any = None
    attempt: int = 1
    started: StepStarted | None = None


def step_error(kind: str, key: str, error: dict[str, Any]) -> StepError:
    """The exception that a handler sees for a journalled failure."""
    type_, message = str(error.get("type", "Error")), str(error.get("message", ""))
    return _FAILURES.get(kind, StepError)(key=key, type=type_, message=message)


def as_json(value: Any) -> Any:
    """The decoder of steps whose value is taken as the JSON that it is."""
    return value


def fresh(value: Any) -> Any:
    """A copy of a JSON value: a handler that changes what it got must not change the journal entry behind it."""
    kind = type(value)
    if kind is dict:
        return {name: fresh(part) for name, part in value.items()}
    if kind is list:
        return [fresh(part) for part in value]
    return value
