"""What a scripted model answers: text, tool calls, a refusal by the provider, or a connection that breaks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from trunkline.domain import codec

_PIECE = re.compile(r"\s*\S+\s*")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a tool. ``arguments`` is an object, or raw text to play a model that writes broken JSON."""

    name: str
    arguments: dict[str, Any] | str = field(default_factory=dict)
    id: str = ""

    @property
    def arguments_text(self) -> str:
        """The arguments as JSON text, as a provider sends them."""
        return self.arguments if isinstance(self.arguments, str) else codec.dumps(self.arguments).decode()


@dataclass(frozen=True, slots=True)
class ModelSays:
    """A full answer: text, tool calls, or both. Token counts that are not set are estimated from the text.

    ``chunks`` are the pieces in which the text is streamed, where it matters; the text need not be given then.
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    chunks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        whole = "".join(self.chunks)
        if whole and self.text not in ("", whole):
            raise ValueError(f"ModelSays has the text {self.text!r}, and other chunks: {self.chunks!r}")
        object.__setattr__(self, "text", self.text or whole)

    @property
    def pieces(self) -> list[str]:
        """The text in the pieces ("tokens") in which it is streamed."""
        if self.chunks:
            return list(self.chunks)
        return _PIECE.findall(self.text) or ([self.text] if self.text else [])

    @property
    def finished(self) -> str:
        """The finish reason: the given one, or what a provider would say."""
        return self.finish_reason or ("tool_calls" if self.tool_calls else "stop")


@dataclass(frozen=True, slots=True)
class ProviderError:
    """The provider refuses, with an HTTP status and OpenAI's error body. ``retry_after`` is in seconds."""

    status: int = 500
    message: str = "The server had an error while processing your request."
    type: str = "server_error"
    code: str | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class HangUp:
    """The connection breaks after ``after`` pieces of the answer: reset, or (``clean``) as if it were complete."""

    says: ModelSays = ModelSays("this answer is never heard to its end")
    after: int = 1
    clean: bool = False


Reply = ModelSays | ProviderError | HangUp


def as_reply(value: Any) -> Reply:
    """What a script may return as a reply: a reply, text, a ``ToolCall`` or several, or a value that is sent as JSON.

    Raises:
        NotJson: it is none of these, and has no JSON form.
    """
    if isinstance(value, ModelSays | ProviderError | HangUp):
        return value
    if isinstance(value, str):
        return ModelSays(value)
    if isinstance(value, ToolCall):
        return ModelSays(tool_calls=(value,))
    if _all_tool_calls(value):
        return ModelSays(tool_calls=tuple(value))
    body = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return ModelSays(codec.dumps(body, what="the scripted reply").decode())


def _all_tool_calls(value: Any) -> bool:
    return isinstance(value, Sequence) and bool(value) and all(isinstance(call, ToolCall) for call in value)
