"""When a failed attempt is tried again."""

from __future__ import annotations

import random

from trunkline.domain.specs import RetryPolicy


def next_delay(policy: RetryPolicy, attempt: int, seed: str) -> float | None:
    """Seconds until the attempt after ``attempt`` (counted from 1), or ``None`` when there is none left.

    Exponential backoff with full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter), the
    same for the same ``seed``.
    """
    if attempt > policy.retries:
        return None
    ceiling = min(policy.cap, policy.base * 2.0 ** min(attempt - 1, 60))
    return random.Random(f"{seed}:{attempt}").uniform(0.0, ceiling)  # noqa: S311 - jitter, not a secret
