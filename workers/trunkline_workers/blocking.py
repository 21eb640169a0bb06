"""What a worker does about code that blocks its event loop: it says in Postgres whose code it is while it is deaf, and
goes away when the loop turns again after longer than a lease.

Usually it was declared dead by then. If not, it gives everything back, so that a handler that blocks once more finds
its neighbours elsewhere; whoever started the process starts it again.
"""

from __future__ import annotations

import asyncio

from trunkline.observe import watchdog
from trunkline.observe.driving import Doing
from trunkline.store import blocks
from trunkline.store.database import Database


class Blocking:
    """``too_long`` is set when somebody's code blocked the loop for longer than ``lease`` seconds."""

    def __init__(self, db: Database, worker: str, lease: float) -> None:
        self.too_long = asyncio.Event()
        self._db, self._worker, self._lease = db, worker, lease
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        watchdog.listeners.append(self)

    def stop(self) -> None:
        watchdog.listeners.remove(self)

    def found(self, doing: Doing) -> None:
        """In the watchdog's thread: what is marked now is known when this worker is declared dead."""
        if doing.instance:
            blocks.mark(self._db, self._worker, doing.instance, blocks=True)

    def ended(self, doing: Doing, seconds: float) -> None:
        """In the watchdog's thread."""
        if doing.name and seconds > self._lease:
            self._loop.call_soon_threadsafe(self.too_long.set)
        elif doing.instance:
            blocks.mark(self._db, self._worker, doing.instance, blocks=False)
