"""``tc.progress``: from whatever thread a tool runs in to the run's live stream, a few times a second."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from typing import Any

from trunkline.bus.connection import Bus
from trunkline.domain import codec
from trunkline.domain.errors import PayloadTooLarge
from trunkline.domain.work import StreamChunk, WorkItem

EVERY = 0.05  # seconds between two sendings
MOST = 32  # reports of one sending; of more the oldest are dropped
LIMIT = 64 * 1024  # bytes of one report


class Progress:
    """The reports of one execution; their ids begin at 0 with every attempt."""

    def __init__(self, bus: Bus, item: WorkItem) -> None:
        self._bus, self._item = bus, item
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._waiting: deque[tuple[str, Any]] = deque(maxlen=MOST)
        self._scheduled = self._closed = False
        self._seq = 0

    def report(self, text: str, data: Any) -> None:
        """Take one report, from any thread.

        Raises:
            NotJson: it has no JSON form.
            PayloadTooLarge: it is longer than ``LIMIT``.
        """
        size = len(codec.dumps([text, data], what="the progress"))
        if size > LIMIT:
            raise PayloadTooLarge(what="The progress", size=size, limit=LIMIT)
        with self._lock:
            self._waiting.append((text, data))
            if self._scheduled or self._closed:
                return
            self._scheduled = True
        with suppress(RuntimeError):  # the process ends, and this thread is one that was stuck
            self._loop.call_soon_threadsafe(self._send)

    def close(self) -> None:
        """Send what waits; what is reported later is dropped."""
        self._publish()
        with self._lock:
            self._closed = True

    def _send(self) -> None:
        if self._closed or not self._publish():
            self._scheduled = False
        else:
            self._loop.call_later(EVERY, self._send)

    def _publish(self) -> bool:
        with self._lock:
            reports = list(self._waiting)
            self._waiting.clear()
        item = self._item
        for text, data in reports:
            chunk = StreamChunk(
                run=item.run,
                step=item.step,
                version=item.version,
                attempt=item.attempt,
                seq=self._seq,
                kind="progress",
                text=text,
                data=data,
            )
            self._seq += 1
            self._bus.publish_soon(self._bus.subjects.stream(item.tenant, item.run), codec.dumps(chunk))
        return bool(reports)
