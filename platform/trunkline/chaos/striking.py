"""One strike after the other: whom it hits, what that one held, and how long until all of it went on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from trunkline.chaos.exchange import Exchange
from trunkline.chaos.hands import Grip, Hands
from trunkline.chaos.plan import WORKERS, Action, Part, Strike

SEARCH = 5.0  # seconds for which a victim is sought that holds something
LOOK_EVERY = 0.02  # seconds between two looks for one
SETTLED = 0.2  # seconds after which Postgres has committed or dropped what the victim sent last
WENT_ON_WITHIN = 15.0  # seconds for which the next strike waits for what the last one hit
FOLLOW_EVERY = 0.1


@dataclass(slots=True)
class Struck:
    """A strike that was carried out, at ``at`` (seconds since the epoch), on the child (or server) ``name``.

    ``delays`` are the seconds from ``at`` until each grip went on. ``worker`` is the victim's id in the roster.
    """

    strike: Strike
    name: str
    at: float
    held: list[Grip] = field(default_factory=list)
    delays: dict[Grip, float] = field(default_factory=dict)
    worker: str = ""
    pid: int = 0


class Striker:
    """``struck`` is what was done so far; ``told`` hears of each. ``pause`` is in seconds: longer than a lease."""

    def __init__(self, exchange: Exchange, hands: Hands, pause: float, told: Callable[[Struck], None]) -> None:
        self._exchange, self._hands, self._pause, self._told = exchange, hands, pause, told
        self.struck: list[Struck] = []

    async def strike(self, strike: Strike) -> Struck:
        """Hit whoever of the part holds most, and wait until what it held went on."""
        struck = await (self._worker(strike) if strike.part in WORKERS else self._single(strike))
        deadline = time.monotonic() + WENT_ON_WITHIN
        while not await self.follow(struck) and time.monotonic() < deadline:  # noqa: ASYNC110 - other processes' work
            await asyncio.sleep(FOLLOW_EVERY)
        return struck

    async def follow(self, struck: Struck) -> bool:
        """Look what went on since; whether all has."""
        left = [grip for grip in struck.held if grip not in struck.delays]
        if left:
            elsewhere = struck.strike.part is Part.AGENTS
            moments = await self._hands.went_on(left, struck.at, elsewhere=elsewhere)
            struck.delays |= {grip: when - struck.at for grip, when in moments.items()}
        return len(struck.delays) == len(struck.held)

    async def zombies(self, within: float) -> list[Struck]:
        """The workers that were paused and declared dead, and have not ended ``within`` seconds."""
        deadline = time.monotonic() + within
        while True:
            left = [one for one in self.struck if await self._lives_on(one)]
            if not left or time.monotonic() > deadline:
                return left
            await asyncio.sleep(FOLLOW_EVERY)

    async def _lives_on(self, struck: Struck) -> bool:
        if struck.strike.action is not Action.PAUSE or not struck.worker:
            return False
        if self._exchange.children.pids.get(struck.name) != struck.pid:
            return False
        return struck.worker not in {one.worker for one in await self._exchange.workers(struck.strike.part)}

    async def _worker(self, strike: Strike) -> Struck:
        worker, name, pid = await self._victim(strike.part)
        struck = Struck(strike, name, time.time(), worker=worker, pid=pid)
        self.struck.append(struck)
        if strike.action is Action.PAUSE:
            async with self._exchange.paused(name):
                await self._take_stock(struck)
                await asyncio.sleep(self._pause - SETTLED)
        else:
            self._exchange.kill(name)
            await self._take_stock(struck)
        return struck

    async def _take_stock(self, struck: Struck) -> None:
        await asyncio.sleep(SETTLED)
        struck.held = (await self._hands.held(struck.strike.part)).get(struck.worker, [])
        self._told(struck)

    async def _victim(self, part: Part) -> tuple[str, str, int]:
        """Whoever holds most: its id, its name and its process. After a while: anybody."""
        deadline = time.monotonic() + SEARCH
        while True:
            present = {one.worker: one.pid for one in await self._exchange.workers(part)}
            held = {worker: len(grips) for worker, grips in (await self._hands.held(part)).items() if worker in present}
            most = max(held, key=lambda worker: held[worker], default="")
            if not most and time.monotonic() > deadline:
                most = next(iter(present), "")
            if most and (name := self._exchange.name_of(present[most])):
                return most, name, present[most]
            await asyncio.sleep(LOOK_EVERY)

    async def _single(self, strike: Strike) -> Struck:
        """A part that there is one of. What is under way is what it may hold up."""
        while not (pid := self._exchange.pid_of(strike.part)):  # noqa: ASYNC110 - it is being started again
            await asyncio.sleep(LOOK_EVERY)
        held = await self._hands.at_work()
        struck = Struck(strike, strike.part, time.time(), held, pid=pid)
        self.struck.append(struck)
        self._told(struck)
        if strike.action is Action.PAUSE:
            async with self._exchange.paused(strike.part):
                await asyncio.sleep(self._pause)
        elif strike.part in (Part.NATS, Part.POSTGRES):
            await self._exchange.kill_server(strike.part, wipe=strike.action is Action.WIPE)
            await self._exchange.revive()
        else:
            self._exchange.kill(strike.part)
        return struck
