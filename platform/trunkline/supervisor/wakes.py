"""Wakes in bounded bursts: as many as NATS takes, and no more than the agent workers have room for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from trunkline.bus.connection import Bus
from trunkline.domain.codec import dumps
from trunkline.domain.errors import Unavailable
from trunkline.domain.work import Wake
from trunkline.observe import logs

log = logs.get("supervisor")

Address = tuple[str, str, str]  # tenant, agent, instance

BURST = 200
PATIENCE = 2.0  # seconds


async def wake(bus: Bus, addresses: Iterable[Address]) -> int:
    """Wake each instance, a burst at a time, each when the last is stored. Returns how many were sent.

    A wake that NATS does not take in time is let go: it is sent again when its instance is next found waiting.
    """
    sent = 0
    for burst in _bursts(addresses):
        publishing = [
            bus.publish(bus.subjects.inbox(tenant, agent), dumps(Wake(tenant=tenant, agent=agent, instance=instance)))
            for tenant, agent, instance in burst
        ]
        try:
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*publishing)
        except (TimeoutError, Unavailable):
            log.warning("wakes are put off: NATS does not take them", unsent=len(burst))
            break
        sent += len(burst)
    return sent


def _bursts(addresses: Iterable[Address]) -> Iterator[list[Address]]:
    waiting = list(addresses)
    for start in range(0, len(waiting), BURST):
        yield waiting[start : start + BURST]
