"""What providers' errors mean: whether another attempt may help, and a message that holds no key."""

from __future__ import annotations

import asyncio
import os
import re
from typing import Any

from trunkline_workers.failures import failure

_RETRYABLE_STATUS = frozenset({408, 409, 425, 429})
_FINAL_TYPES = frozenset({"BudgetExceededError", "ModelNotMappedError", "UnsupportedParamsError"})
_NO_KEY = re.compile(r"Missing credentials|api_key client option must be set|No API key", re.IGNORECASE)

_KEYS = re.compile(
    r"""(?ix)
    \b(?:sk|pk|rk|gsk|xai|hf|key)[-_][a-z0-9*_\-.]{6,}   # as OpenAI, Anthropic, Groq, xAI and others write theirs
    | \bAIza[a-z0-9_\-]{10,}                             # Google
    | \bAKIA[a-z0-9]{12,}                                # AWS
    | (?<=bearer\ )\S+
    | (?<=[?&]key=)[^&\s'"]+
    | (?<=api[_-]key[=:])\s*["']?[^\s"',}]+
    """
)
_SECRET_VARIABLE = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
_LAYERS = re.compile(r"^(?:(?:litellm\.)?[A-Za-z]+(?:Error|Exception|Timeout)(?::| -) )+|^litellm\.Timeout: ")
_REPEATED = re.compile(r" Original exception: .*")


class Truncated(Exception):
    """The stream ended before the answer did."""


def failure_of_call(error: BaseException) -> dict[str, Any]:
    """The failure of a model call that raised ``error``."""
    text = _REPEATED.sub("", _LAYERS.sub("", " ".join(str(error).split())))
    return failure(_type(error), without_keys(text) or type(error).__name__, retryable=retryable(error))


def retryable(error: BaseException) -> bool:
    """Rate limits, timeouts, lost connections and the provider's own faults pass; what was asked wrongly stays wrong.

    By status where there is one: litellm's classes do not tell a 403 from a lost connection.
    """
    if _type(error) in _FINAL_TYPES or _NO_KEY.search(str(error)):
        return False
    if isinstance(error, Truncated | TimeoutError | ConnectionError | asyncio.IncompleteReadError):
        return True
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return status >= 500 or status in _RETRYABLE_STATUS
    return isinstance(error, OSError)


def without_keys(text: str) -> str:
    """``text`` without what looks like an API key, and without the value of any secret of this environment."""
    for value in _secrets():
        text = text.replace(value, "***")
    return _KEYS.sub("***", text)


def _secrets() -> list[str]:
    """Providers' keys are litellm's to read, under names of its own; we look at them to keep them out of messages."""
    return [value for name, value in os.environ.items() if len(value) >= 8 and _SECRET_VARIABLE.search(name)]


def _type(error: BaseException) -> str:
    name = type(error).__name__
    if _NO_KEY.search(str(error)):
        return "AuthenticationError"  # litellm calls a missing key a fault of the server
    return {"MidStreamFallbackError": "StreamBroken", "Timeout": "TimedOut"}.get(name, name)
