"""Durations as people write them."""

from __future__ import annotations

import math
import re
from datetime import timedelta

from trunkline.domain.errors import BadDuration

Duration = float | int | str | timedelta

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_TEXT = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)", re.ASCII)
MAX_SECONDS = 100 * 366 * 86400.0


def seconds(value: Duration) -> float:
    """The duration in seconds: from a number, a ``timedelta``, or text such as ``"2d"`` or ``"1h 30m"``.

    Raises:
        BadDuration: it is none of these, negative, not finite, or over a hundred years.
    """
    if isinstance(value, bool):
        raise BadDuration(value=value)
    if isinstance(value, timedelta):
        result = value.total_seconds()
    elif isinstance(value, int | float):
        result = float(value)
    elif isinstance(value, str) and value.strip() and not _TEXT.sub("", value).strip():
        result = sum(float(number) * _UNITS[unit] for number, unit in _TEXT.findall(value))
    else:
        raise BadDuration(value=value)
    if not math.isfinite(result) or not 0 <= result <= MAX_SECONDS:
        raise BadDuration(value=value)
    return result
