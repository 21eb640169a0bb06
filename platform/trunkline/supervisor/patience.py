"""When to try the same thing again: at once, and then after delays that double. Pure; the clock is passed in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class _Trial:
    next_at: float
    delay: float
    look: int


class Patience:
    """``first`` and ``longest`` delay in seconds. What is not found again at a look is forgotten."""

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self._trials: dict[str, _Trial] = {}
        self._look = 0

    def due(self, name: str, now: float) -> bool:
        """Found again: whether it is time to try. A yes counts as a try."""
        trial = self._trials.get(name)
        if trial is None:
            self._trials[name] = _Trial(now + self._first, self._first, self._look)
            return True
        trial.look = self._look
        if now < trial.next_at:
            return False
        trial.delay = min(trial.delay * 2, self._longest)
        trial.next_at = now + trial.delay
        return True

    def end_look(self) -> None:
        """All that is there was asked about: forget the others."""
        self._trials = {name: trial for name, trial in self._trials.items() if trial.look == self._look}
        self._look += 1

    def __len__(self) -> int:
        return len(self._trials)
