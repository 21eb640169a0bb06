"""Open pull requests, and the inbox that their messages come to.

A message does not say which request brought it (it carries its own subject), so requests are counted together:
``asked`` is what the open ones still have to bring. A request that ends says how much it leaves undelivered. An inbox
that is closed hands back what still arrives.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from nats.aio.subscription import Subscription
from nats.errors import Error

from trunkline.bus.parsing import headers_of
from trunkline.domain.codec import dumps

if TYPE_CHECKING:
    from trunkline.bus.connection import Bus

log = logging.getLogger(__name__)

EXPIRES = 20.0  # seconds that a request stays open
IDLE = 3.0  # seconds between the server's signs of life while one is open
SILENCE = 2 * IDLE + 0.5  # two of them stayed away
_NANO = 1_000_000_000
_HEARTBEAT, _EXPIRED = "100", "408"

Arrived = Callable[[bytes, bytes, bytes, bytes], None]  # subject, reply, body, headers: see ``parsing.Listener``


class Inbox:
    """``arrived`` gets each message; ``ended`` hears of a request's end, with a reason when it came out of turn."""

    def __init__(self, bus: Bus, next_: str, arrived: Arrived, ended: Callable[[str], None]) -> None:
        self.asked = 0
        self._bus, self._next, self._arrived, self._ended = bus, next_, arrived, ended
        self._subject = bus.inbox()
        self._own = self._subject.encode()
        self._heard_at = self._asked_at = time.monotonic()
        self._closing = False
        self._subscription: Subscription | None = None

    async def open(self) -> None:
        self._subscription = await self._bus.client.listen(self._subject, self._receive)

    async def close(self, *, handover: bool) -> None:
        """Receive no more. With ``handover``, what the server sent already is handed back first."""
        self._closing = True
        subscription, self._subscription = self._subscription, None
        if subscription is None:
            return
        try:
            if handover:
                async with asyncio.timeout(SILENCE):
                    await subscription.drain()  # type: ignore[no-untyped-call]
            else:
                await subscription.unsubscribe()
        except (Error, TimeoutError):
            log.debug("an inbox closed with its connection")

    def ask(self, count: int) -> None:
        """Ask for ``count`` messages more."""
        if not self.asked:
            self._heard_at = time.monotonic()
        self.asked += count
        self._asked_at = time.monotonic()
        request = {"batch": count, "expires": int(EXPIRES * _NANO), "idle_heartbeat": int(IDLE * _NANO)}
        self._bus.send(self._next, dumps(request), self._subject)

    @property
    def silent(self) -> bool:
        """Whether requests are open that the server seems to know nothing of."""
        now = time.monotonic()
        return self.asked > 0 and (now - self._heard_at > SILENCE or now - self._asked_at > EXPIRES + SILENCE)

    def _receive(self, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        self._heard_at = time.monotonic()
        if subject == self._own:
            self._told(headers_of(headers))
        elif self._closing:
            self._bus.answer(reply, b"-NAK")
        else:
            self.asked -= 1
            self._arrived(subject, reply, data, headers)

    def _told(self, headers: dict[str, str]) -> None:
        """The server says that it is there, or that a request ended."""
        status = headers.get("Status", "")
        if status == _HEARTBEAT or self._closing:
            return
        left = headers.get("Nats-Pending-Messages", "")
        self.asked -= int(left) if left.isdigit() else self.asked
        self._ended("" if status == _EXPIRED else f"{status} {headers.get('Description', '')}")
