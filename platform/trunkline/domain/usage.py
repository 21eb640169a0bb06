"""What a run's model calls have used, over all of its incarnations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Usage:
    """Grows with every outcome of a model call."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0

    def add(self, usage: dict[str, Any] | None) -> None:
        """Count one call; ``usage`` is as in ``StepCompleted``, ``None`` for what is not a model call."""
        if usage:
            self.calls += 1
            self.input_tokens += int(usage.get("input_tokens") or 0)
            self.output_tokens += int(usage.get("output_tokens") or 0)
            self.cost_usd += float(usage.get("cost_usd") or 0.0)

    @classmethod
    def of(cls, body: dict[str, Any]) -> Usage:
        """What ``body`` said.

        Raises:
            KeyError: it has another shape.
        """
        return cls(body["model_calls"], body["input_tokens"], body["output_tokens"], body["cost_usd"])

    def body(self) -> dict[str, Any]:
        return {
            "model_calls": self.calls,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": round(self.cost_usd, 9),
        }
