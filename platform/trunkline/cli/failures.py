"""What a failed command says and returns: one line, and 1 (it failed), 2 (it was asked wrongly) or 3 (unreachable)."""

from __future__ import annotations

from trunkline.domain.errors import (
    BadDeclaration,
    BadDuration,
    BadEvent,
    BadInput,
    BadJson,
    BadKey,
    BadName,
    NotConfigured,
    NotJson,
    NotUnderstood,
    TrunklineError,
    Unavailable,
)

OK, FAILED, USAGE, UNREACHABLE = 0, 1, 2, 3
INTERRUPTED = 130  # after Ctrl-C, as shells say it

_ASKED_WRONGLY = (
    BadDeclaration, BadDuration, BadEvent, BadInput, BadJson, BadKey, BadName, NotConfigured, NotJson,
    NotUnderstood,
)  # fmt: skip


def exit_code(error: BaseException) -> int:
    """The process's exit status after ``error``."""
    if isinstance(error, Unavailable):
        return UNREACHABLE
    return USAGE if isinstance(error, _ASKED_WRONGLY) else FAILED


def deliberate(error: BaseException) -> TrunklineError | None:
    """The error that was raised on purpose: itself, or the first one in a group."""
    if isinstance(error, TrunklineError):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next((found for found in map(deliberate, error.exceptions) if found is not None), None)
    return None


def one_line(error: BaseException) -> str:
    """The error for people: never a traceback."""
    found = deliberate(error)
    text = str(found) if found else f"{type(error).__name__}: {error}"
    return " ".join(text.split())
