"""When a failed attempt is tried again."""

from __future__ import annotations

import random

from trunkline.domain.specs import RetryPolicy


def next_delay(policy: RetryPolicy, attempt: int, seed: str) -> float | None:
    """Seconds until the attempt after ``attempt`` (counted from 1), or ``None`` when there is none left. The same for
    the same ``seed``.
    """
    return None if attempt > policy.retries else backoff(policy.base, policy.cap, attempt, seed)


def backoff(base: float, cap: float, nth: int, seed: str) -> float:
    """Seconds before the ``nth`` try anew (counted from 1): up to ``base``, twice that, and so on to ``cap``.

    Exponential backoff with full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter).
    """
    ceiling = min(cap, base * 2.0 ** min(nth - 1, 60))
    return random.Random(f"{seed}:{nth}").uniform(0.0, ceiling)  # noqa: S311 - jitter, not a secret
