"""What went wrong, as it is sent and journalled: a type, one message, and whether another attempt may help.

Never a traceback: that goes to this process's log.
"""

from __future__ import annotations

from typing import Any

from trunkline.domain.codec import printable
from trunkline.domain.errors import BadInput, BadOutput, NotJson, PayloadTooLarge

MAX_MESSAGE = 2000  # characters

_FINAL = (BadInput, BadOutput, NotJson, PayloadTooLarge)  # the same arguments will not fit better next time


def failure(type_: str, message: str, *, retryable: bool) -> dict[str, Any]:
    """An ``Outcome.error``. The message is cut to ``MAX_MESSAGE`` characters."""
    return {"type": type_, "message": printable(message, MAX_MESSAGE), "retryable": retryable}


def failure_of(error: BaseException) -> dict[str, Any]:
    """The failure that ``error`` is. An exception class says that no attempt will help with ``retryable = False``."""
    retryable = not isinstance(error, _FINAL) and getattr(error, "retryable", True) is not False
    return failure(type(error).__name__, _text(error), retryable=retryable)


def _text(error: BaseException) -> str:
    try:
        return str(error) or type(error).__name__
    except Exception:  # noqa: BLE001 - an exception of a tool may be unable to describe itself
        return f"{type(error).__name__} (it has no readable message)"
