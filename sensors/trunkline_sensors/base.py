"""What a sensor is: something with a name that publishes events until it is cancelled; and its clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from trunkline.domain.events import CloudEvent

Publish = Callable[[CloudEvent], Awaitable[None]]

_LONGEST_NAP = 30.0  # seconds; the wall clock may be set, or the machine may sleep, in the meantime


class Sensor(Protocol):
    """``name`` is a declared name (it becomes a label of metrics), the same on every replica."""

    @property
    def name(self) -> str: ...

    async def run(self, publish: Publish) -> None:
        """Sense and ``publish`` until cancelled. Raising is allowed: the sensor is begun again after a while.

        ``publish`` returns when the event is stored by JetStream. An event's ``source`` and ``id`` must come out the
        same when the same thing is sensed twice.
        """


class Clock(Protocol):
    """Wall-clock time in seconds since the epoch."""

    def now(self) -> float: ...

    async def until(self, when: float) -> None:
        """Return once ``now()`` is ``when`` or later."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    async def until(self, when: float) -> None:
        while (left := when - time.time()) > 0:  # noqa: ASYNC110 - nothing but the clock tells when it is time
            await asyncio.sleep(min(left, _LONGEST_NAP))
