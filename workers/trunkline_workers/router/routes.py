"""Who is woken by which event, for all tenants: the subscriptions of Postgres, kept at hand."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from trunkline.domain.errors import BadEvent, Unavailable
from trunkline.domain.events import CloudEvent
from trunkline.domain.mail import Envelope
from trunkline.domain.specs import Subscription
from trunkline.engine.routing import route
from trunkline.store.database import Database
from trunkline.store.definitions import subscriptions
from trunkline_workers.keeping import Kept


class Routes(Kept):
    """``loaded_at`` is when they were read last (monotonic)."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._by_type: dict[tuple[str, str], list[Subscription]] = {}
        self.loaded_at = float("-inf")

    async def start(self) -> None:
        """Read once, then keep up. While Postgres is away nothing is known."""
        with suppress(Unavailable):
            await self.refresh()
        self.keep_up()

    async def refresh(self) -> None:
        """Read all subscriptions.

        Raises:
            Unreachable: Postgres is away; what was known stays.
        """
        begun = time.monotonic()
        self._by_type = _indexed(await subscriptions(self._db))
        self.loaded_at = begun

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


def _indexed(found: Mapping[str, Sequence[Subscription]]) -> dict[tuple[str, str], list[Subscription]]:
    by_type: dict[tuple[str, str], list[Subscription]] = {}
    for tenant, subscribed in found.items():
        for subscription in subscribed:
            by_type.setdefault((tenant, subscription.event_type), []).append(subscription)
    return by_type
