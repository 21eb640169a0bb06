"""A scripted model for ``testing.run``: what it answers, call by call, without a server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from trunkline.domain.errors import TrunklineError
from trunkline.testing.replies import HangUp, ModelSays, ProviderError, as_reply

ModelScript = Sequence[Any] | Callable[[list[dict[str, Any]]], Any]


class ScriptExhausted(TrunklineError):
    """Model call number {number} has no reply in the script, which holds {length}. Its last message was: {last}. Pass
    model=[…] one reply for each call: text, a model instance, ToolCall(name, arguments), or a list of
    these calls."""


class ModelRefused(Exception):
    """What a handler's model call fails with when the script plays a failing provider."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


class ScriptedModel:
    """``script`` is a list of replies, used up in the order of the calls, or a function of a call's messages."""

    def __init__(self, script: ModelScript | None) -> None:
        self._script = script
        self.calls: list[dict[str, Any]] = []  # the payloads, as LLM workers would get them

    def reply(self, payload: dict[str, Any]) -> dict[str, Any]:
        """The value of one model call.

        Raises:
            ScriptExhausted: the list is at its end, or there is no script.
            ModelRefused: the script plays a provider that refuses, or hangs up.
        """
        self.calls.append(payload)
        reply = as_reply(next_reply(self._script, payload["messages"], len(self.calls)))
        if isinstance(reply, ProviderError):
            raise ModelRefused(reply.message, retryable=reply.status >= 500 or reply.status == 429)
        if isinstance(reply, HangUp):
            raise ModelRefused("the connection broke", retryable=True)
        return _value(reply, len(self.calls))


def next_reply(script: ModelScript | None, messages: list[dict[str, Any]], number: int) -> Any:
    """What ``script`` answers to the call of that number (from 1).

    Raises:
        ScriptExhausted: the list is at its end, or there is no script.
        TypeError: it is only text.
    """
    if callable(script):
        return script(messages)
    replies = script or ()
    if isinstance(replies, str | bytes):
        raise TypeError(f"model= takes a list of replies, or a function of the messages: write model=[{replies!r}]")
    if number > len(replies):
        last = str(messages[-1].get("content"))[:200] if messages else ""
        raise ScriptExhausted(number=number, length=len(replies), last=last)
    return replies[number - 1]


def _value(says: ModelSays, call: int) -> dict[str, Any]:
    tool_calls = [
        {"id": one.id or f"call_{call}_{place}", "name": one.name, "arguments": one.arguments_text}
        for place, one in enumerate(says.tool_calls, 1)
    ]
    return {"text": says.text or None, "tool_calls": tool_calls, "finish_reason": says.finished}
