"""Who is woken by which event, for all tenants: the subscriptions of Postgres, as they were read last."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from trunkline.domain.errors import BadEvent
from trunkline.domain.events import CloudEvent
from trunkline.domain.mail import Envelope
from trunkline.domain.specs import Subscription
from trunkline.engine.routing import route
from trunkline.store import at_hand
from trunkline.store.database import Database


class Routes:
    """``loaded_at`` is when they were read last (monotonic). Whoever has them keeps them up."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._by_type: dict[tuple[str, str], list[Subscription]] = {}
        self.loaded_at = float("-inf")

    async def refresh(self) -> None:
        """Read all subscriptions.

        Raises:
            Unreachable: Postgres is away; what was known stays.
        """
        begun = time.monotonic()
        found = await at_hand.look(self._db, "", ())
        await self.take(found.subscriptions, begun)

    async def take(self, subscriptions: Iterable[Sequence[str]], read_at: float) -> None:
        """These are all, each as (tenant, agent, event type, key, handler); their reading began at ``read_at``."""
        if read_at < self.loaded_at:
            return  # a later one came first
        by_type: dict[tuple[str, str], list[Subscription]] = {}
        for tenant, agent, event_type, key, handler in subscriptions:
            subscription = Subscription(agent=agent, event_type=event_type, key=key, handler=handler)
            by_type.setdefault((tenant, event_type), []).append(subscription)
        self._by_type, self.loaded_at = by_type, read_at

    def known(self, tenant: str, event_type: str) -> bool:
        """Whether anybody subscribes to this type."""
        return (tenant, event_type) in self._by_type

    def address(self, tenant: str, event: CloudEvent) -> tuple[list[Envelope], list[str]]:
        """The letters that ``event`` becomes, one for each subscription; and of the subscriptions whose key cannot be
        taken from it, why.
        """
        letters: list[Envelope] = []
        objections: list[str] = []
        for subscription in self._by_type.get((tenant, event.type), ()):
            try:
                letters += route(tenant, event, [subscription])
            except BadEvent as error:
                objections.append(f"agent {subscription.agent}: {error.fields['reason']}")
        return letters, objections

    def route(self, tenant: str, event: CloudEvent) -> list[Envelope]:
        """The letters alone."""
        return self.address(tenant, event)[0]
