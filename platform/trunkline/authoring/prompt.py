"""The prompt of a model-driven run, which grows from turn to turn, and its digest.

The digest is the one that ``codec.digest`` gives of the whole prompt. Of messages that were there before only the state
of the hash is kept: what a turn costs here follows from what was added, and not from all that was said. (The prompt
that is sent costs its length in any case; a replay sends none.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from trunkline.domain import codec

Message = dict[str, Any]


class Prompt:
    """``messages`` are all so far."""

    def __init__(self, rest: dict[str, Any]) -> None:
        """``rest`` is what the prompt has besides ``messages``: names that come behind it in the alphabet."""
        assert min(rest) > "messages", "the canonical text begins with the messages"
        self.messages: list[Message] = []
        self._rest = rest
        self._behind = b"]," + codec.canonical(rest)[1:]
        self._hash = hashlib.sha256(b'{"messages":[')

    def add(self, messages: Iterable[Message]) -> None:
        """``messages`` are JSON values that nobody changes any more."""
        for message in messages:
            self._hash.update((b"," if self.messages else b"") + codec.canonical(message))
            self.messages.append(message)

    def body(self) -> dict[str, Any]:
        """The prompt itself, as it is now."""
        return {**self._rest, "messages": [*self.messages]}

    def digest(self) -> str:
        """``codec.digest`` of ``body()``."""
        whole = self._hash.copy()
        whole.update(self._behind)
        return whole.hexdigest()
