"""When to look again at what is looked at again and again: together with everybody on this machine who looks as often.

A process that wakes up costs a fraction of a millisecond, whatever it then does: so what several of them say at once
costs whoever hears it less. The clock is one that the processes of a machine share, and machines do not.
"""

from __future__ import annotations

JUST_NOW = 0.05  # of a period: a timer that came a little early does not come twice


def until_next(period: float, now: float) -> float:
    """Seconds from ``now`` (monotonic) to the next multiple of ``period`` (seconds): more than none, and at most a
    little over one period.
    """
    left = period - now % period
    return left + period if left < period * JUST_NOW else left
