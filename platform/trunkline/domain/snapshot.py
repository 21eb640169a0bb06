"""A snapshot: what an instance's journal came to at a version at which no run of it was open.

It is kept as JSON with a digest of its text, the instance and the version, so that one that was damaged, or that
belongs to something else, is told apart and passed over.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from trunkline.domain.codec import dumps, loads
from trunkline.domain.errors import BadJson, SnapshotUnusable

FORMAT = 1
MOST_BYTES = 64 * 1024 * 1024  # of one snapshot; what comes to more stays in the journal alone


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State (JSON; ``None`` if no run has set it) and conversation as of journal version ``version``, inclusive."""

    version: int
    state: Any
    conversation: list[dict[str, Any]]

    def encode(self, instance: str) -> bytes:
        """The snapshot as it is stored: ``{"format", "digest", "content": {"state", "conversation"}}``."""
        content = dumps({"state": self.state, "conversation": self.conversation}, what="the snapshot")
        head = b'{"format":%d,"digest":"%s","content":' % (FORMAT, _digest(instance, self.version, content).encode())
        return head + content + b"}"


def decode(instance: str, version: int, format_: str | None, digest: str | None, content: str | None) -> Snapshot:
    """What ``encode`` made; ``content`` is its JSON text, unchanged to the byte.

    Raises:
        SnapshotUnusable: its format is not this version's, it was changed, or it is of something else.
    """
    if format_ != str(FORMAT):
        raise SnapshotUnusable(instance=instance, reason=f"its format is {format_}, and this version reads {FORMAT}")
    text = (content or "").encode()
    if digest != _digest(instance, version, text):
        raise SnapshotUnusable(instance=instance, reason="its digest does not fit")
    try:
        value = loads(text, what="the snapshot")
        return Snapshot(version, value["state"], list(value["conversation"]))
    except (BadJson, TypeError, KeyError) as error:
        raise SnapshotUnusable(instance=instance, reason=f"it has another shape ({error})") from None


def _digest(instance: str, version: int, content: bytes) -> str:
    return hashlib.sha256(b"%s:%d:" % (instance.encode(), version) + content).hexdigest()
