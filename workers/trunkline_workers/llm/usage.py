"""What a model call used, and what it cost where the price is known."""

from __future__ import annotations

from typing import Any

from trunkline.observe import metrics

MOST_UNPRICED = 1000  # models


class Prices:
    """What calls cost, as litellm has it. Looking in vain for a price is dear, so that models without one are known."""

    def __init__(self, litellm: Any) -> None:
        self._litellm = litellm
        self._unpriced: dict[str, int] = {}  # by model: how many prices litellm knew then

    def usage_of(self, model: str, counted: Any, duration: float, stream: Any = None) -> dict[str, Any]:
        """``{"model", "input_tokens", "output_tokens", "cost_usd", "cost_known", "duration_s"}``.

        ``counted`` is litellm's ``Usage``, or ``None`` if the provider reported none; ``stream`` is litellm's, if the
        answer came to its end. An unknown price counts as 0.
        """
        cost = None if counted is None else self._cost(model, counted, stream)
        usage = {
            "model": model,
            "input_tokens": int(getattr(counted, "prompt_tokens", 0) or 0),
            "output_tokens": int(getattr(counted, "completion_tokens", 0) or 0),
            "cost_usd": round(cost or 0.0, 9),
            "cost_known": cost is not None,
            "duration_s": round(duration, 6),
        }
        _count(usage)
        return usage

    def _cost(self, model: str, counted: Any, stream: Any) -> float | None:
        reported = getattr(counted, "cost", None)
        if isinstance(reported, int | float):
            return float(reported)
        if self._unpriced.get(model) == len(self._litellm.model_cost):
            return None
        try:
            return self._priced(model, counted, stream)
        except Exception:  # noqa: BLE001 - litellm raises several kinds for a model without a price
            self._remember(model)
            return None

    def _priced(self, model: str, counted: Any, stream: Any) -> float:
        """By what the call knows of itself (prices and regions of its own); by the model's list price otherwise."""
        response = self._litellm.ModelResponse(model=model, usage=counted)
        own = getattr(getattr(stream, "logging_obj", None), "response_cost_calculator", None)
        cost = own(result=response) if own is not None else None
        return float(cost or self._litellm.completion_cost(completion_response=response, model=model))

    def _remember(self, model: str) -> None:
        try:
            self._litellm.get_model_info(model)
        except Exception:  # noqa: BLE001 - the same; for any other reason the next call is tried anew
            if len(self._unpriced) < MOST_UNPRICED:
                self._unpriced[model] = len(self._litellm.model_cost)


def _count(usage: dict[str, Any]) -> None:
    model = metrics.model_label(usage["model"])
    metrics.tokens.labels(model=model, direction="input").inc(usage["input_tokens"])
    metrics.tokens.labels(model=model, direction="output").inc(usage["output_tokens"])
    metrics.cost_usd.labels(model=model).inc(usage["cost_usd"])
