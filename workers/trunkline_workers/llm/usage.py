"""What a model call used, and what it cost where the price is known."""

from __future__ import annotations

from typing import Any

from trunkline.observe import metrics


def usage_of(litellm: Any, model: str, counted: Any, duration: float) -> dict[str, Any]:
    """``{"model", "input_tokens", "output_tokens", "cost_usd", "cost_known", "duration_s"}``.

    ``counted`` is litellm's ``Usage``, or ``None`` if the provider reported none. An unknown price counts as 0.
    """
    cost = None if counted is None else _cost(litellm, model, counted)
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


def _cost(litellm: Any, model: str, counted: Any) -> float | None:
    reported = getattr(counted, "cost", None)
    if isinstance(reported, int | float):
        return float(reported)
    try:
        response = litellm.ModelResponse(model=model, usage=counted)
        return float(litellm.completion_cost(completion_response=response, model=model))
    except Exception:  # noqa: BLE001 - litellm raises several kinds for a model without a price
        return None


def _count(usage: dict[str, Any]) -> None:
    model = metrics.model_label(usage["model"])
    metrics.tokens.labels(model=model, direction="input").inc(usage["input_tokens"])
    metrics.tokens.labels(model=model, direction="output").inc(usage["output_tokens"])
    metrics.cost_usd.labels(model=model).inc(usage["cost_usd"])
