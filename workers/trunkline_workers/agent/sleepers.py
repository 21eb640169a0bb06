"""Which of the instances in memory sleep, and which of these leave it first: those that nothing touched for longest.

An instance leaves by age, because memory is short, or because the worker is full of instances; whoever wakes it brings
it back by replay. One whose mail is still to be read here does not sleep.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from operator import attrgetter

from trunkline.observe import memory
from trunkline.settings import Settings
from trunkline_workers.agent.activation import Activation

LOOKS = 4  # at every activation, in the time after which an idle one leaves
RESTED = 1.0  # seconds that an instance stays at least while memory is short: what is woken is to get something done
LOW = 0.9  # of the limit: below that memory is no longer short
GROWN = 1.05
AT_ONCE = 10  # when the worker is full, a tenth of all leave together: finding them costs a look at each

_touched = attrgetter("touched")


class Sleepers:
    """``held`` are the activations by instance, and ``unread`` the instances with mail to be read: both are live."""

    def __init__(self, held: Mapping[str, Activation], unread: Iterable[Collection[str]], settings: Settings) -> None:
        self._held, self._unread, self._settings = held, tuple(unread), settings
        self._round: list[str] = []  # who is to be looked at before anybody is again, and how many of them at once
        self._few = 0

    def asleep(self, activation: Activation) -> bool:
        """Whether it is here, and memory is needed for nothing that it does."""
        instance = activation.lease.instance
        return not activation.closed and activation.idle and not any(instance in mail for mail in self._unread)

    def aged(self, every: float) -> list[Activation]:
        """Those that were idle for long enough, of the next few: this is called again every ``every`` seconds."""
        after = self._settings.idle_after
        before = asyncio.get_running_loop().time() - after
        if not self._round:
            self._round = list(self._held)[::-1]
            self._few = math.ceil(len(self._round) * every / max(after / LOOKS, every))
        looked_at = [self._held[one] for one in self._next() if one in self._held]
        return [one for one in looked_at if one.touched <= before and self.asleep(one)]

    def _next(self) -> list[str]:
        rest = max(len(self._round) - self._few, 0)
        taken = self._round[rest:][::-1]
        del self._round[rest:]
        return taken

    def rested(self) -> list[Activation]:
        """All that may leave because memory is short, the longest untouched first."""
        before = asyncio.get_running_loop().time() - RESTED
        return sorted((one for one in self._held.values() if one.touched <= before and self.asleep(one)), key=_touched)

    def crowding(self, wanted: int) -> list[Activation]:
        """Those that leave so that there is room for ``wanted`` others, and some more; none where there is room."""
        most = self._settings.max_activations
        missing = wanted - (most - len(self._held))
        if missing <= 0:
            return []
        return heapq.nsmallest(max(missing, most // AT_ONCE), filter(self.asleep, self._held.values()), key=_touched)


class Shortage:
    """Whether this process has more than ``limit`` bytes resident, and when enough was let go.

    What Python frees it keeps for the next ones, mostly, and the process looks as large as before. So the number of
    blocks in use is held against the number that was too many; they are counted anew whenever the process has grown.
    """

    def __init__(
        self, limit: int, *, resident: Callable[[], int] = memory.resident, blocks: Callable[[], int] = memory.blocks
    ) -> None:
        self._limit, self._resident, self._blocks = limit, resident, blocks
        self._largest = 0
        self._most = math.inf  # blocks that fit into the limit

    def acute(self) -> bool:
        """Whether sleepers are to leave now."""
        resident = self._resident()
        if resident <= self._limit:
            self._largest, self._most = 0, math.inf
            return False
        used = self._blocks()
        if resident > self._largest * GROWN:
            self._largest, self._most = resident, used * self._limit / resident
        return used > self._most

    def over(self) -> bool:
        """Whether enough of them left."""
        return self._resident() <= self._limit * LOW or self._blocks() <= self._most * LOW
