"""Tokens on their way to those who watch a run: in batches, because each message costs about as much as any other."""

from __future__ import annotations

import asyncio

from trunkline.bus.connection import Bus
from trunkline.domain import codec
from trunkline.domain.work import StreamChunk, WorkItem

EVERY = 0.05  # seconds that a token waits at most
MOST = 20  # tokens of one message


class TokenStream:
    """The text of one attempt. Message ids begin at 0 with every attempt; a reader sees by that that it starts over."""

    def __init__(self, bus: Bus, item: WorkItem) -> None:
        self._bus, self._item = bus, item
        self._subject = bus.subjects.stream(item.tenant, item.run)
        self._waiting: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self._seq = 0

    def add(self, text: str) -> None:
        """Take the next piece of text."""
        self._waiting.append(text)
        if len(self._waiting) >= MOST:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY, self.flush)

    def flush(self) -> None:
        """Send what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiting:
            return
        item, text = self._item, "".join(self._waiting)
        self._waiting.clear()
        chunk = StreamChunk(
            run=item.run, step=item.step, version=item.version, attempt=item.attempt, seq=self._seq, text=text
        )
        self._seq += 1
        self._bus.publish_soon(self._subject, codec.dumps(chunk))
