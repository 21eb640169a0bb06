"""How a run ends: what its coroutine returned or raised, as a journal entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trunkline.domain import errors
from trunkline.domain.codec import printable, roundtrip
from trunkline.domain.incarnation import carried
from trunkline.domain.journal import Entry, RunCancelled, RunCompleted, RunContinued, RunFailed, SignalReceived

MAX_MESSAGE = 2000  # characters


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a body returns: JSON values, or what ``domain.codec`` can make of them."""

    output: Any
    state: Any = None  # the whole new state, when the run changed it
    conversation: Sequence[Any] = ()  # the messages that the run added


@dataclass(frozen=True, slots=True)
class Continuation:
    """What a body returns to be begun anew with ``input``; all else as in ``RunResult``."""

    input: Any
    state: Any = None
    conversation: Sequence[Any] = ()


def returned(run: str, agent: str, result: RunResult) -> Entry:
    """The end of a run whose handler returned; it has failed when that cannot be journalled."""
    try:
        return RunCompleted(
            run,
            output=roundtrip(result.output, what=f"the output of {agent}"),
            state=roundtrip(result.state, what=f"the state of {agent}"),
            conversation=roundtrip(list(result.conversation), what=f"the conversation of {agent}"),
        )
    except Exception as unusable:  # noqa: BLE001 — what the handler returned is its own affair
        return raised(run, unusable)


def continued(
    run: str, agent: str, result: Continuation, *, at: float, number: int, signals: Sequence[SignalReceived]
) -> Entry:
    """The end of an incarnation whose handler asked for another, which is the ``number``th."""
    try:
        return RunContinued(
            run,
            input=roundtrip(result.input, what=f"the input of {agent}"),
            at=at,
            number=number,
            state=roundtrip(result.state, what=f"the state of {agent}"),
            conversation=roundtrip(list(result.conversation), what=f"the conversation of {agent}"),
            signals=carried(signals),
        )
    except Exception as unusable:  # noqa: BLE001 — what the handler asked for is its own affair
        return raised(run, unusable)


def raised(run: str, error: BaseException) -> Entry:
    """The end of a run whose handler raised."""
    if isinstance(error, errors.RunCancelled):
        return RunCancelled(run, reason=printable(str(error.reason), MAX_MESSAGE))
    return RunFailed(run, error=describe(error))


def describe(error: BaseException) -> dict[str, Any]:
    """What is journalled of an exception, never with a traceback: ``{"type", "message", "retryable": False}``."""
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 — a broken __str__ must not hide the failure itself
        message = ""
    return {
        "type": printable(type(error).__name__, MAX_MESSAGE),
        "message": printable(message, MAX_MESSAGE),
        "retryable": False,
    }
