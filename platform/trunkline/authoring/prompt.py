"""The prompt of a run's model calls. It grows with the conversation, and its digest with it.

Each call journals the digest of its whole prompt. A hash of what was said before is kept, so that a call costs here
what was added since the one before, however long the conversation is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from trunkline.domain import codec

Message = dict[str, Any]


class Prompt:
    """``{"model", "messages", "tools", "response_format"}``; only the messages grow. All are JSON values."""

    def __init__(
        self,
        model: str,
        messages: Iterable[Message],
        tools: Sequence[dict[str, Any]],
        response_format: dict[str, Any] | None,
    ) -> None:
        self._rest = {"model": model, "tools": list(tools), "response_format": response_format}
        self._end = b"]," + codec.canonical(self._rest)[1:]
        self._messages: list[Message] = []
        self._hash = hashlib.sha256(b'{"messages":[')  # the first of its keys in canonical JSON
        self.add(*messages)

    def add(self, *messages: Message) -> None:
        """They come behind the others, and are not changed from here on."""
        for message in messages:
            self._hash.update(b"," * bool(self._messages) + codec.canonical(message))
            self._messages.append(message)

    @property
    def digest(self) -> str:
        """``codec.digest`` of the whole."""
        whole = self._hash.copy()
        whole.update(self._end)
        return whole.hexdigest()

    def body(self) -> dict[str, Any]:
        """As it is now; messages that are added later are not in it."""
        return {**self._rest, "messages": list(self._messages)}
