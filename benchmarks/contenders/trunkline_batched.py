"""Trunkline under a load that costs little: starts that gathered are accepted in one transaction, as a router does it
with events, and one subscription hears of all ends. Beyond some thousand runs a second a client for each run is the
limit, and not the worker that is to be measured. The variant is how many agent workers there are.
"""

from __future__ import annotations

import asyncio
import os

import nats
import uvloop
from nats.aio.msg import Msg

from benchmarks.contenders.load import Asked, asked, drive, versions
from benchmarks.contenders.trunkline_parts import VERSIONS, settings_of, start
from trunkline.access.entrance import Entrance
from trunkline.access.letters import request
from trunkline.bus.connection import Bus
from trunkline.domain.mail import Envelope
from trunkline.store.database import Database

TOOLS = {"local": (), "remote": ("tools",)}
LONGEST = 60.0  # seconds until a run whose end was not heard of counts as failed; the hints are best effort
MOST = 512  # starts in a transaction
SETTINGS = (
    "default settings, {workers} agent worker(s), all on {cores} cores, uvloop; the load gathers starts into "
    "transactions, and hears of all ends at once"
)


class Starts:
    """Runs that are asked for, until they have ended."""

    def __init__(self, entrance: Entrance, tenant: str, agent: str) -> None:
        self._entrance, self._tenant, self._agent = entrance, tenant, agent
        self._ends: dict[str, asyncio.Future[None]] = {}
        self._gathered: list[Envelope] = []
        self._filled = asyncio.Event()
        self._task = asyncio.create_task(self._accept_all())

    async def run(self, number: int) -> None:
        """Start one, and wait for its end.

        Raises:
            TimeoutError: its end was not heard of.
        """
        letter = request(self._tenant, self._agent, None, number, None, deadline=None)
        end = self._ends[letter.run] = asyncio.get_running_loop().create_future()
        self._gathered.append(letter)
        self._filled.set()
        async with asyncio.timeout(LONGEST):
            await end

    async def ended(self, hint: Msg) -> None:
        end = self._ends.pop(hint.subject.rpartition(".")[2], None)
        if end is not None and not end.done():
            end.set_result(None)

    async def _accept_all(self) -> None:
        while True:
            await self._filled.wait()
            letters, self._gathered = self._gathered[:MOST], self._gathered[MOST:]
            if not self._gathered:
                self._filled.clear()
            await self._entrance.accept(letters)


async def main(asked: Asked) -> None:
    settings, workers = settings_of(asked), int(asked.variant or 1)
    pids = await start(asked, ("agents",) * workers + TOOLS[asked.workload])
    db = await Database.open(asked.postgres, size=1)
    bus = await Bus.connect(settings, name="load")
    starts = Starts(Entrance(db, bus), settings.tenant, asked.workload)
    hints = await nats.connect(asked.nats)
    await hints.subscribe(bus.subjects.ended(settings.tenant, "*"), cb=starts.ended)
    about = {"settings": SETTINGS.format(workers=workers, cores=os.cpu_count()), "versions": versions(*VERSIONS)}
    await drive(asked, starts.run, pids, about)


if __name__ == "__main__":
    uvloop.run(main(asked()))
