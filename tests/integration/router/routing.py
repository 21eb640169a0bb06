"""What the router's tests are made of: subscriptions, publishers that know nothing of Trunkline, looks at tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from trunkline.bus import stored
from trunkline.bus.connection import Bus
from trunkline.bus.topology import call_api
from trunkline.domain.codec import loads
from trunkline.domain.specs import AgentSpec, Subscription
from trunkline.settings import Settings
from trunkline.store import definitions
from trunkline.store.database import Database
from trunkline_workers.router.service import DURABLE, Router

TENANT = "default"


def event(number: int, **fields: Any) -> dict[str, Any]:
    """An ``order.placed`` event with only what must be there."""
    return {
        "specversion": "1.0",
        "id": f"e{number}",
        "source": "/shop",
        "type": "order.placed",
        "data": {"order_id": f"o{number}"},
        **fields,
    }


@dataclass
class Exchange:
    """A router, and both ends of it."""

    settings: Settings
    db: Database
    bus: Bus
    router: Router

    @classmethod
    async def open(cls, settings: Settings, stack: AsyncExitStack) -> Exchange:
        url = settings.database_url.get_secret_value()
        db = await Database.open(url, schema=settings.database_schema)
        stack.push_async_callback(db.close)
        bus = await Bus.connect(settings, name="router-test")
        stack.push_async_callback(bus.close)
        await bus.declare()
        router = Router(db, bus, settings)
        await router.start()
        stack.push_async_callback(router.stop)
        return cls(settings, db, bus, router)

    async def subscribe(self, agent: str, *subscriptions: tuple[str, str, str], tenant: str = TENANT) -> None:
        """Let ``agent`` be woken by (event type, key, handler)."""
        wanted = tuple(
            Subscription(agent=agent, event_type=event_type, key=key, handler=handler)
            for event_type, key, handler in subscriptions
        )
        await definitions.publish(self.db, tenant, [AgentSpec(name=agent, app="app", subscriptions=wanted)], [])

    async def publish(
        self,
        body: Any,
        *,
        event_type: str = "order.placed",
        tenant: str = TENANT,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Publish as any NATS client would: JSON, or bytes as they are."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self.bus.publish(self.bus.subjects.event(tenant, event_type), raw, headers=headers)

    async def mail(self) -> list[tuple[Any, ...]]:
        """(agent, key, handler, event id) of each letter, in order."""
        found = await self.rows("select agent, key, body from mailbox where kind = 'event' order by seq")
        return [(agent, key, body["handler"], body["input"]["id"]) for agent, key, body in found]

    async def dead_letters(self) -> list[tuple[Any, ...]]:
        return await self.rows("select tenant, source, subject, detail, body from dead_letters order by created_at, id")

    async def woken(self, agent: str) -> set[str]:
        messages = await stored.read(self.bus, "INBOX", self.bus.subjects.inbox(TENANT, agent), limit=1000)
        return {loads(message.data)["instance"] for message in messages}

    async def settled(self) -> bool:
        """Whether everything on EVENTS is acknowledged."""
        return await self.waiting() == (0, 0)

    async def waiting(self) -> tuple[int, int]:
        """Events that lie on the bus, and those in routers' hands. By their sequences: a consumer's own count of what
        waits for it comes a little behind what the stream has acknowledged to publishers.
        """
        name = self.bus.subjects.stream_name("EVENTS")
        stream = await call_api(self.bus.request, f"STREAM.INFO.{name}", None)
        consumer = await call_api(self.bus.request, f"CONSUMER.INFO.{name}.{DURABLE}", None)
        lies = stream["state"]["last_seq"] - consumer["delivered"]["stream_seq"]
        return lies, consumer["num_ack_pending"]

    async def rows(self, sql: str, *parameters: Any) -> Sequence[Any]:
        async with self.db.connection() as connection:
            cursor = await connection.execute(sql, parameters or None)
            return await cursor.fetchall()
