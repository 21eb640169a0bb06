"""A ledger of what was begun, outside of NATS and Postgres, for audits: one JSON line an execution.

Lines are added with one write each, so those of several processes do not mix, and what was written survives a SIGKILL.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from trunkline.domain import codec
from trunkline.domain.effects import Begun
from trunkline.domain.work import WorkItem


class ExecutionsLog:
    """Writes to ``path``; without one it does nothing."""

    def __init__(self, path: Path | None, worker: str) -> None:
        self._worker = worker
        self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, item: WorkItem) -> None:
        """``item`` is about to be carried out."""
        if self._file is not None:
            begun = Begun(key=item.idempotency_key, attempt=item.attempt, at=time.time(), worker=self._worker)
            os.write(self._file, codec.dumps(begun) + b"\n")
