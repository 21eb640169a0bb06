"""What the failure of one member of a team means for the others: whom to stop, and whom to begin, in which order.

The strategies are those of OTP's supervisors (https://www.erlang.org/doc/system/sup_princ.html). Members are numbered
in the order in which they are started; they are stopped in reverse.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from trunkline.domain.status import Strategy


@dataclass(frozen=True, slots=True)
class Change:
    """First ``stop`` these members, then ``start`` those, each in this order."""

    stop: tuple[int, ...]
    start: tuple[int, ...]


def change(strategy: Strategy, failed: int, members: int, *, up: Collection[int], lasting: Collection[int]) -> Change:
    """What restarting member ``failed`` of ``members`` entails. ``up`` are those that run now, and ``lasting`` those
    that may be begun again at all: a temporary member that has to stop stays stopped.
    """
    touched = {
        Strategy.ONE_FOR_ONE: range(failed, failed + 1),
        Strategy.REST_FOR_ONE: range(failed, members),
        Strategy.ONE_FOR_ALL: range(members),
    }[strategy]
    return Change(
        stop=tuple(place for place in reversed(touched) if place in up and place != failed),
        start=tuple(place for place in touched if place in lasting or place == failed),
    )
