"""A run's signals and the waits for them. Early signals are kept; no order is promised between names."""

from __future__ import annotations

from collections import deque
from collections.abc import KeysView
from typing import Any

from trunkline.domain.codec import dumps
from trunkline.domain.journal import SignalReceived
from trunkline.engine.few import Few
from trunkline.engine.step import Recorded

# What is kept of signals that nobody waits for; the one that reaches it may go beyond the bytes.
MOST_KEPT = 64
MOST_BYTES = 1024 * 1024


class Signals:
    """For each name either signals that nobody took yet, or waits that nothing answered yet: never both."""

    __slots__ = ("_kept", "_waits")

    def __init__(self) -> None:
        self._kept: Kept | None = None
        self._waits: Few[str, Recorded[Any] | list[Recorded[Any]]] = Few()  # one, or several

    @property
    def awaited(self) -> KeysView[str]:
        """The names that somebody waits for."""
        return self._waits.keys()

    def takes(self, name: str) -> bool:
        """Whether a signal of this name is waited for, or there is room to keep it."""
        return name in self._waits or self._kept is None or self._kept.has_room

    def take(self, name: str) -> SignalReceived | None:
        """The oldest signal of this name that was kept, which leaves."""
        if self._kept is None:
            return None
        signal = self._kept.take(name)
        if not self._kept:
            self._kept = None
        return signal

    def wait(self, name: str, step: Recorded[Any]) -> None:
        """``step`` waits for the next signal of this name, behind those that wait already."""
        waits = self._waits.get(name)
        if waits is None:
            self._waits[name] = step
        elif isinstance(waits, list):
            waits.append(step)
        else:
            self._waits[name] = [waits, step]

    def answer(self, signal: SignalReceived) -> Recorded[Any] | None:
        """The oldest wait for ``signal``; without one the signal is kept."""
        waits = self._waits.get(signal.name)
        if waits is None:
            if self._kept is None:
                self._kept = Kept()
            self._kept.put(signal)
            return None
        first: Recorded[Any] = waits[0] if isinstance(waits, list) else waits
        return first

    def forget(self, name: str, step: Recorded[Any]) -> None:
        """``step`` waits no longer for a signal of this name."""
        waits = self._waits[name]
        if isinstance(waits, list):
            waits.remove(step)
        if not isinstance(waits, list) or not waits:
            del self._waits[name]

    def leftover(self) -> list[SignalReceived]:
        """What is kept, oldest first."""
        return [] if self._kept is None else self._kept.all()


class Kept:
    """Signals that nobody took yet."""

    __slots__ = ("_arrived", "_bytes", "_count", "_named")

    def __init__(self) -> None:
        self._named: dict[str, deque[tuple[int, int, SignalReceived]]] = {}  # with place and size
        self._arrived = self._count = self._bytes = 0

    def __bool__(self) -> bool:
        return self._count > 0

    @property
    def has_room(self) -> bool:
        return self._count < MOST_KEPT and self._bytes < MOST_BYTES

    def put(self, signal: SignalReceived) -> None:
        size = len(dumps(signal.data))
        self._arrived += 1
        self._count += 1
        self._bytes += size
        self._named.setdefault(signal.name, deque()).append((self._arrived, size, signal))

    def take(self, name: str) -> SignalReceived | None:
        """The oldest of this name."""
        found = self._named.get(name)
        if not found:
            return None
        _, size, signal = found.popleft()
        self._count -= 1
        self._bytes -= size
        if not found:
            del self._named[name]
        return signal

    def all(self) -> list[SignalReceived]:
        """All of them, oldest first."""
        kept = sorted((one for named in self._named.values() for one in named), key=lambda one: one[0])
        return [signal for _, _, signal in kept]
