"""What this worker finished last. An item that comes again is answered with the outcome that there was.

The broker delivers again what it heard no acknowledgement of: it died, forgot, or the line was cut. The step is done
then, and told; only the telling may have been lost. Bounded: what was forgotten here is asked for and executed again.
"""

from __future__ import annotations

from collections import OrderedDict

MOST = 10_000
MOST_BYTES = 16 * 1024 * 1024

Attempt = tuple[str, str, int]  # run, step, and which attempt


class Finished:
    """The bodies of the latest outcomes, by attempt."""

    def __init__(self, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._bodies: OrderedDict[Attempt, bytes] = OrderedDict()
        self._bytes = 0

    def remember(self, attempt: Attempt, body: bytes) -> None:
        """``body`` told the outcome of ``attempt``. The oldest are forgotten for it."""
        self._bytes += len(body) - len(self._bodies.pop(attempt, b""))
        self._bodies[attempt] = body
        while len(self._bodies) > self._most or self._bytes > self._most_bytes:
            _, oldest = self._bodies.popitem(last=False)
            self._bytes -= len(oldest)

    def find(self, attempt: Attempt) -> bytes | None:
        """The body that told the outcome; ``None`` if it is not remembered."""
        return self._bodies.get(attempt)
