"""Outcomes on their way to their owners: what gathers while one message is being stored shares the next.

A lone outcome goes at once, and a flood in messages of up to ``MOST``, of which each costs both sides and the broker
about as much as one outcome did. Each outcome still waits for the acknowledgement of its own message, and a message is
made of other outcomes when it is tried again, so its id is its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from trunkline.bus.connection import Bus
from trunkline.domain.errors import PayloadTooLarge, Unavailable
from trunkline.domain.ids import new_id

MOST = 64  # outcomes in a message
MOST_BYTES = 64 * 1024  # of a message that holds several


_Letter = tuple[bytes, asyncio.Future[None]]


@dataclass(slots=True)
class _Line:
    """What is on its way to one owner. ``sending`` are messages that are not stored yet; of the latest nothing was
    taken yet while ``begun``.
    """

    waiting: deque[_Letter] = field(default_factory=deque)
    size: int = 0  # bytes that wait
    sending: int = 0
    begun: bool = False

    def take(self, most_bytes: int) -> list[_Letter]:
        """One message's worth of what waits: one outcome at least."""
        pack: list[_Letter] = []
        size = 0
        while self.waiting and len(pack) < MOST and (not pack or size + len(self.waiting[0][0]) <= most_bytes):
            pack.append(self.waiting.popleft())
            size += len(pack[-1][0])
        self.size -= size
        return pack


class Packing:
    """One for a worker process."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._loop = asyncio.get_running_loop()
        self._lines: dict[str, _Line] = {}  # by reply subject
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(self, subject: str, body: bytes) -> None:
        """Publish the outcome ``body``, alone or with others; returns when JetStream has it.

        Raises:
            PayloadTooLarge, Unavailable: as ``Bus.publish``.
        """
        line = self._lines.setdefault(subject, _Line())
        stored = self._loop.create_future()
        line.waiting.append((body, stored))
        line.size += len(body)
        if not line.sending or len(line.waiting) >= MOST or line.size >= MOST_BYTES:
            self._next(subject, line)
        await stored

    def _next(self, subject: str, line: _Line) -> None:
        """The message is made up when its task begins: of all that came in the same turn of the loop."""
        if line.begun:
            return
        line.begun = True
        line.sending += 1
        task = self._loop.create_task(self._send(subject, line))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, subject: str, line: _Line) -> None:
        pack = line.take(min(MOST_BYTES, self._bus.max_payload // 2))
        line.begun = False
        if len(line.waiting) >= MOST:
            self._next(subject, line)
        error: Exception | None = None
        try:
            await self._bus.publish(subject, _body(pack), msg_id=new_id())
        except (PayloadTooLarge, Unavailable) as raised:
            error = raised
        for _, stored in pack:
            if not stored.done():
                stored.set_result(None) if error is None else stored.set_exception(error)
        line.sending -= 1
        if line.waiting and not line.sending:
            self._next(subject, line)
        elif not line.sending:
            del self._lines[subject]


def _body(pack: Sequence[_Letter]) -> bytes:
    bodies = [body for body, _ in pack]
    return bodies[0] if len(bodies) == 1 else b"[" + b",".join(bodies) + b"]"
