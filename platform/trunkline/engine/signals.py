"""A run's signals and the waits for them. Early signals are kept; no order is promised between names."""

from __future__ import annotations

from collections import deque
from collections.abc import KeysView
from typing import Any

from trunkline.domain.codec import dumps
from trunkline.domain.journal import SignalReceived
from trunkline.engine.step import Recorded

# What is kept of signals that nobody waits for; the one that reaches it may go beyond the bytes.
MOST_KEPT = 64
MOST_BYTES = 1024 * 1024


class Signals:
    """For each name either signals that nobody took yet, or waits that nothing answered yet: never both."""

    __slots__ = ("_arrived", "_buffer", "_bytes", "_kept", "_waits")

    def __init__(self) -> None:
        self._buffer: dict[str, deque[tuple[int, int, SignalReceived]]] = {}  # with place and size
        self._arrived = self._kept = self._bytes = 0
        self._waits: dict[str, list[Recorded[Any]]] = {}

    @property
    def awaited(self) -> KeysView[str]:
        """The names that somebody waits for."""
        return self._waits.keys()

    def takes(self, name: str) -> bool:
        """Whether a signal of this name is waited for, or there is room to keep it."""
        return name in self._waits or (self._kept < MOST_KEPT and self._bytes < MOST_BYTES)

    def take(self, name: str) -> SignalReceived | None:
        """The oldest signal of this name in the buffer, which leaves it."""
        found = self._buffer.get(name)
        if not found:
            return None
        _, size, signal = found.popleft()
        self._kept -= 1
        self._bytes -= size
        if not found:
            del self._buffer[name]
        return signal

    def wait(self, name: str, step: Recorded[Any]) -> None:
        """``step`` waits for the next signal of this name, behind those that wait already."""
        self._waits.setdefault(name, []).append(step)

    def answer(self, signal: SignalReceived) -> Recorded[Any] | None:
        """The oldest wait for ``signal``; without one the signal is kept."""
        waits = self._waits.get(signal.name)
        if waits:
            return waits[0]
        size = len(dumps(signal.data))
        self._arrived += 1
        self._kept += 1
        self._bytes += size
        self._buffer.setdefault(signal.name, deque()).append((self._arrived, size, signal))
        return None

    def forget(self, name: str, step: Recorded[Any]) -> None:
        """``step`` waits no longer for a signal of this name."""
        waits = self._waits[name]
        waits.remove(step)
        if not waits:
            del self._waits[name]

    def leftover(self) -> list[SignalReceived]:
        """What is in the buffer, oldest first."""
        kept = sorted((one for named in self._buffer.values() for one in named), key=lambda one: one[0])
        return [signal for _, _, signal in kept]
