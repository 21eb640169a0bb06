"""An answer put together from the chunks of its stream."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from trunkline.domain.codec import printable


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Answer:
    """``take`` the chunks in their order; then ``value`` is the outcome's, and ``usage`` litellm's count of tokens."""

    text: list[str] = field(default_factory=list)
    calls: dict[int, _Call] = field(default_factory=dict)
    finish_reason: str | None = None
    usage: Any = None

    def take(self, chunk: Any) -> str:
        """Add one chunk (litellm's ``ModelResponseStream``); returns the text that it brought."""
        self.usage = getattr(chunk, "usage", None) or self.usage
        if not chunk.choices:
            return ""
        choice = chunk.choices[0]
        self.finish_reason = choice.finish_reason or self.finish_reason
        for delta in getattr(choice.delta, "tool_calls", None) or ():
            self._take_call(delta)
        text: str = printable(getattr(choice.delta, "content", None) or "")
        if text:
            self.text.append(text)
        return text

    @property
    def value(self) -> dict[str, Any]:
        """``{"text", "tool_calls": [{"id", "name", "arguments": JSON text}], "finish_reason"}``."""
        calls = [self._call(index, call) for index, call in sorted(self.calls.items())]
        return {
            "text": "".join(self.text) or None,
            "tool_calls": calls,
            "finish_reason": self.finish_reason or "",
        }

    def _take_call(self, delta: Any) -> None:
        call = self.calls.setdefault(int(delta.index or 0), _Call())
        call.id = call.id or delta.id or ""
        function = delta.function
        if function is not None:
            call.name = call.name or function.name or ""
            call.arguments.append(function.arguments or "")

    @staticmethod
    def _call(index: int, call: _Call) -> dict[str, Any]:
        return {
            "id": printable(call.id) or f"call_{index}",
            "name": printable(call.name),
            "arguments": printable("".join(call.arguments)) or "{}",
        }
