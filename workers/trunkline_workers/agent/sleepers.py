"""Which of the instances in memory sleep, and which of these leave it first: those that nothing touched for longest.

An instance leaves by age, because memory is short, or because the worker is full of instances; whoever wakes it brings
it back by replay. One whose mail is still to be read here does not sleep.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from operator import attrgetter

from trunkline.observe import memory
from trunkline.settings import Settings
from trunkline_workers.agent.activation import Activation

LOOKS = 4  # at every activation, in the time after which an idle one leaves
RESTED = 1.0  # seconds that an instance stays at least while memory is short: what is woken is to get something done
LOW = 0.9  # of the limit: below that memory is no longer short
AT_ONCE = 10  # when the worker is full, a tenth of all leave together: finding them costs a look at each

_touched = attrgetter("touched")


class Sleepers:
    """``held`` are the activations by instance, and ``unread`` the instances with mail to be read: both are live."""

    def __init__(self, held: Mapping[str, Activation], unread: Iterable[Collection[str]], settings: Settings) -> None:
        self._held, self._unread, self._settings = held, tuple(unread), settings
        self._limit = settings.memory_limit or memory.available() // 2
        self._round: Iterator[str] = iter(())

    def asleep(self, activation: Activation) -> bool:
        """Whether it is here, and memory is needed for nothing that it does."""
        instance = activation.lease.instance
        return not activation.closed and activation.idle and not any(instance in mail for mail in self._unread)

    def aged(self, every: float) -> list[Activation]:
        """Those that were idle for long enough, of the next few: this is called again every ``every`` seconds."""
        after = self._settings.idle_after
        before = asyncio.get_running_loop().time() - after
        few = math.ceil(len(self._held) * every / max(after / LOOKS, every))
        looked_at = [self._held[one] for one in self._next(few) if one in self._held]
        return [one for one in looked_at if one.touched <= before and self.asleep(one)]

    def _next(self, few: int) -> list[str]:
        taken = [instance for instance, _ in zip(self._round, range(few), strict=False)]
        if len(taken) < few:
            self._round = iter(list(self._held))
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

    @property
    def memory_is_short(self) -> bool:
        return memory.resident() > self._limit

    @property
    def relieved(self) -> bool:
        return memory.resident() <= self._limit * LOW
