"""The load: runs, each asked for until it is accepted, with the signals and the decisions that they need."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from trunkline.chaos.exchange import Exchange
from trunkline.client.run import Run
from trunkline.domain.errors import RunEnded, Unavailable, UnknownApproval
from trunkline.domain.events import CloudEvent

AT_ONCE = 64  # starts under way
AGAIN = 0.1  # seconds until what was not accepted is sent again
DECIDE_EVERY = 0.25
BY = "trunkline chaos"


@dataclass(frozen=True, slots=True)
class Orders:
    """What is to be started: ``agent`` with ``value(number)``; or, where ``event`` is its type, that as an event."""

    agent: str
    value: Callable[[int], Any]
    event: str = ""
    signals: Mapping[str, Any] = field(default_factory=dict)
    approve: bool | None = None


class Load:
    """``accepted`` are the ids of the runs that each number started."""

    def __init__(self, exchange: Exchange, orders: Orders, seed: int) -> None:
        self._exchange, self._orders, self._seed = exchange, orders, seed
        self._gate = asyncio.Semaphore(AT_ONCE)
        self.accepted: dict[int, list[str]] = {}

    @property
    def runs(self) -> list[str]:
        return [run for runs in self.accepted.values() for run in runs]

    async def start(self, numbers: range, over: float) -> None:
        """Start these, spread evenly ``over`` so many seconds; returns when all are accepted.

        Raises:
            TrunklineError: one of them will never be accepted.
        """
        begun = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for place, number in enumerate(numbers):
                await asyncio.sleep(max(0.0, begun + over * place / len(numbers) - time.monotonic()))
                await self._gate.acquire()
                group.create_task(self._one(number)).add_done_callback(lambda _: self._gate.release())

    async def decide(self) -> None:
        """Approve, or refuse, whatever comes, for ever."""
        while self._orders.approve is not None:
            try:
                for asked in (await self._exchange.direct.approvals(limit=200))["items"]:
                    await self._decide(asked["id"], approved=self._orders.approve)
            except Unavailable:
                pass  # Postgres comes back
            await asyncio.sleep(DECIDE_EVERY)

    async def _decide(self, id_: str, *, approved: bool) -> None:
        try:
            await self._exchange.direct.decide(id_, approved=approved, by=BY)
        except UnknownApproval:
            return  # its run has ended

    async def _one(self, number: int) -> None:
        key = f"chaos-{self._seed}-{number}"
        self.accepted[number] = await self._until_accepted(number, key)
        for name, data in self._orders.signals.items():
            for run in self.accepted[number]:
                await self._signal(self._exchange.direct.run(run), name, data, f"{key}-{name}")

    async def _until_accepted(self, number: int, key: str) -> list[str]:
        """A repeat under the same key finds what was accepted."""
        orders, value = self._orders, self._orders.value(number)
        while True:
            try:
                if orders.event:
                    event = CloudEvent(id=key, source="trunkline/chaos", type=orders.event, data=value)
                    return await self._exchange.client.publish(event)
                return [(await self._exchange.client.start(orders.agent, value, idempotency_key=key)).id]
            except Unavailable:
                await asyncio.sleep(AGAIN)

    async def _signal(self, run: Run[Any], name: str, data: Any, key: str) -> None:
        while True:
            try:
                await run.signal(name, data, idempotency_key=key)
            except Unavailable:
                await asyncio.sleep(AGAIN)
            except RunEnded:
                return
            else:
                return
