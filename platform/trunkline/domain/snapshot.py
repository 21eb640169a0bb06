"""A snapshot: what an instance's journal came to at a version at which no run of it was open, or one began anew.

Of a run whose handler begins anew nothing matters but what it begins with: so an instance whose run never ends has
snapshots too. Those that hold no run are written as they always were, for workers of an earlier version to read.

It is kept as JSON with a digest of its text, the instance and the version, so that one that was damaged, or that
belongs to something else, is told apart and passed over.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from trunkline.domain.codec import dumps, loads
from trunkline.domain.errors import BadJson, SnapshotUnusable
from trunkline.domain.incarnation import Incarnation
from trunkline.domain.journal import RunStarted
from trunkline.domain.usage import Usage

WITHOUT_RUNS, WITH_RUNS = 1, 2  # the formats
MOST_BYTES = 64 * 1024 * 1024  # of one snapshot; what comes to more stays in the journal alone


@dataclass(frozen=True, slots=True)
class HeldRun:
    """An open run, which begins anew at the snapshot's version with the snapshot's state and conversation. ``usage`` is
    what it has used before; ``late`` says that it was told that its deadline has passed.
    """

    started: RunStarted
    life: Incarnation
    usage: Usage
    late: bool = False

    def body(self) -> dict[str, Any]:
        started = {"run": self.started.run, **self.started.body()}
        return {"started": started, "life": self.life.body(), "usage": self.usage.body(), "late": self.late}

    @classmethod
    def of(cls, body: dict[str, Any]) -> HeldRun:
        """What ``body`` said.

        Raises:
            KeyError, TypeError: it has another shape.
        """
        started = RunStarted(**body["started"])
        return cls(started, Incarnation.of(started, body["life"]), Usage.of(body["usage"]), body["late"])


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State (JSON; ``None`` if no run has set it) and conversation as of journal version ``version``, inclusive; and
    the open run, if there is one.
    """

    version: int
    state: Any
    conversation: list[dict[str, Any]]
    held: HeldRun | None = None

    def encode(self, instance: str) -> bytes:
        """The snapshot as it is stored: ``{"format", "digest", "content": {"state", "conversation", "run"?}}``."""
        value = {"state": self.state, "conversation": self.conversation}
        if self.held is not None:
            value["run"] = self.held.body()
        content = dumps(value, what="the snapshot")
        format_ = WITHOUT_RUNS if self.held is None else WITH_RUNS
        head = b'{"format":%d,"digest":"%s","content":' % (format_, _digest(instance, self.version, content).encode())
        return head + content + b"}"


def decode(instance: str, version: int, format_: str | None, digest: str | None, content: str | None) -> Snapshot:
    """What ``encode`` made; ``content`` is its JSON text, unchanged to the byte.

    Raises:
        SnapshotUnusable: its format is not this version's, it was changed, or it is of something else.
    """
    if format_ not in (str(WITHOUT_RUNS), str(WITH_RUNS)):
        reason = f"its format is {format_}, and this version reads up to {WITH_RUNS}"
        raise SnapshotUnusable(instance=instance, reason=reason)
    text = (content or "").encode()
    if digest != _digest(instance, version, text):
        raise SnapshotUnusable(instance=instance, reason="its digest does not fit")
    try:
        value = loads(text, what="the snapshot")
        snapshot = Snapshot(version, value["state"], list(value["conversation"]))
        return replace(snapshot, held=HeldRun.of(value["run"])) if format_ == str(WITH_RUNS) else snapshot
    except (BadJson, TypeError, KeyError) as error:
        raise SnapshotUnusable(instance=instance, reason=f"it has another shape ({error})") from None


def _digest(instance: str, version: int, content: bytes) -> str:
    return hashlib.sha256(b"%s:%d:" % (instance.encode(), version) + content).hexdigest()
