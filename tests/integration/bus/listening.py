"""What tests of the bus hear by: handlers that note what came, and let a test wait for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from trunkline.bus.connection import Bus
from trunkline.bus.consume import Delivery

Connect = Callable[..., Awaitable[Bus]]

PATIENCE = 15.0  # seconds


class Heard:
    """A handler that notes every delivery, in order, and then does ``then`` with it (acknowledge, unless told)."""

    def __init__(self, then: Callable[[Delivery], None] | None = Delivery.ack) -> None:
        self.deliveries: list[Delivery] = []
        self.times: list[float] = []
        self._then = then
        self._changed = asyncio.Event()

    def __call__(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        self.times.append(time.monotonic())
        if self._then is not None:
            self._then(delivery)
        self._changed.set()

    @property
    def bodies(self) -> list[bytes]:
        return [delivery.data for delivery in self.deliveries]

    async def until(self, enough: Callable[[list[bytes]], bool]) -> None:
        """Wait until ``enough`` says so of the bodies that came."""
        async with asyncio.timeout(PATIENCE):
            while not enough(self.bodies):
                self._changed.clear()
                await self._changed.wait()

    async def count(self, number: int) -> None:
        await self.until(lambda bodies: len(bodies) >= number)

    async def all_of(self, bodies: set[bytes]) -> None:
        await self.until(lambda heard: set(heard) >= bodies)


async def stay(event: asyncio.Event, seconds: float) -> bool:
    """Whether ``event`` stayed unset for so long: for what must not happen."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return True
    return False


async def say(url: str, line: bytes) -> None:
    """Speak NATS's protocol by hand: a client need not keep to what ours lets through."""
    server = urlsplit(url)
    reader, writer = await asyncio.open_connection(server.hostname, server.port)
    writer.write(b'CONNECT {"verbose":false,"headers":true}\r\n' + line + b"PING\r\n")
    while not (await reader.readline()).startswith(b"PONG"):
        pass
    writer.close()
    await writer.wait_closed()
