"""What the routes stand on: Postgres, the bus, whose key was sent, and the way in and out."""

from __future__ import annotations

import hmac
from typing import Any

from fastapi import Request

from trunkline.access.entrance import Entrance
from trunkline.access.following import Following
from trunkline.bus.connection import Bus
from trunkline.domain.codec import loads
from trunkline.domain.errors import PayloadTooLarge, Unauthorized, Unavailable
from trunkline.gateway.backlog import Backlog
from trunkline.gateway.door import Door, ticket_of
from trunkline.settings import Settings
from trunkline.store.database import Database


class Desk:
    """What comes in goes through ``entrance``; ``following`` tells what becomes of it."""

    def __init__(self, settings: Settings, db: Database) -> None:
        self.settings, self.db = settings, db
        self.entrance = Entrance(db, max_mailbox=settings.max_mailbox)
        self.following = Following(db)
        self.door = Door(settings.max_accepts, several=len(settings.api_keys) > 1)
        self.backlog = Backlog(settings.max_backlog)
        self.listeners = 0

    @property
    def bus(self) -> Bus | None:
        """``None`` while NATS has not been reached: what is accepted then is woken by the supervisor."""
        return self.entrance.bus

    def joined(self, bus: Bus) -> None:
        """NATS was reached."""
        self.entrance.bus = self.following.bus = bus
        self.backlog.joined(bus)

    def tenant(self, request: Request) -> str:
        """Whose key the request bears.

        Raises:
            Unauthorized: keys are set, and it bears none of them.
            TenantBusy: it asks for something, and too much of this tenant's is under way.
        """
        tenant = self._bearer(request)
        ticket = ticket_of(request.scope)
        if ticket is not None:
            ticket.belongs(tenant)
        return tenant

    def let_out(self, request: Request) -> None:
        """What the request asked for is committed: others may come in while it goes on waiting."""
        ticket = ticket_of(request.scope)
        if ticket is not None:
            ticket.leave()

    def _bearer(self, request: Request) -> str:
        if not self.settings.api_keys:
            return self.settings.tenant
        sent = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
        found = [
            tenant
            for tenant, key in self.settings.api_keys.items()
            if hmac.compare_digest(key.get_secret_value().encode(), sent)
        ]
        if not found:
            raise Unauthorized
        return found[0]

    async def body(self, request: Request) -> Any:
        """The request's JSON, read no further than ``settings.max_payload`` bytes.

        Raises:
            PayloadTooLarge: it is longer.
            BadJson: it is malformed, or holds what may not be kept.
            Busy: too many bytes of others' are under way.
        """
        limit, read, ticket = self.settings.max_payload, bytearray(), ticket_of(request.scope)
        async for chunk in request.stream():
            read += chunk
            if ticket is not None:
                ticket.weigh(len(chunk))
            if len(read) > limit:
                raise PayloadTooLarge(what="the request's body", size=len(read), limit=limit)
        return loads(bytes(read), what="the request's body") if read else {}

    def missing(self) -> dict[str, str]:
        """What is not reached just now."""
        return {} if self.bus is not None and self.bus.connected else {"nats": "not connected"}

    async def ready(self) -> dict[str, str]:
        """What is missing, by name; empty when all is there."""
        missing = self.missing()
        try:
            await self.db.ping()
        except Unavailable as error:
            missing["postgres"] = str(error)
        return missing
