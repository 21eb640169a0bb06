"""Outcomes come back here. The owner appends them and only then acknowledges; for others they become mail.

Until then the server is told that they are in progress. What an activation takes with it when it is dropped is handed
back: it goes to whoever has the instance next.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import NoReturn

from trunkline.bus.consume import Delivery
from trunkline.domain.errors import NotAMessage
from trunkline.domain.work import Outcome
from trunkline.observe import faults, logs
from trunkline.store.database import Database
from trunkline.store.replies import post_outcomes, whole
from trunkline_workers.agent.activation import Activation
from trunkline_workers.agent.dispatch import Dispatch
from trunkline_workers.agent.registry import Registry

log = logs.get("replies")


class Replies:
    """Handles every delivery of this worker's reply subject. ``ack_wait`` (seconds) is that of its consumer."""

    def __init__(self, db: Database, registry: Registry, dispatch: Dispatch, ack_wait: float) -> None:
        self._db, self._registry, self._dispatch, self._ack_wait = db, registry, dispatch, ack_wait
        self._held: dict[Delivery, Activation] = {}

    async def keep(self) -> NoReturn:
        """Look after what is not recorded yet."""
        while True:
            await asyncio.sleep(self._ack_wait / 3)
            for delivery, activation in list(self._held.items()):
                if activation.closed or delivery.settled:
                    del self._held[delivery]
                    delivery.nak()
                else:
                    delivery.in_progress()

    async def on_delivery(self, delivery: Delivery) -> None:
        """Hand the outcome to its activation, or post it to an instance that somebody else holds."""
        try:
            outcome = Outcome.read(delivery.data)
        except NotAMessage as error:
            log.warning("an outcome is not readable: %s", error)
            delivery.term("not an outcome")
            return
        outcome = await whole(self._db, outcome)
        await faults.reach("outcome-received")
        activation = self._registry.find(outcome.instance)
        if activation is None or activation.closed or not self._hand(activation, outcome, delivery):
            letters = await post_outcomes(self._db, [outcome])
            await faults.reach("outcome-posted")
            for letter in letters:
                self._dispatch.wake(letter.tenant, letter.agent, letter.instance)
            delivery.ack()

    def _hand(self, activation: Activation, outcome: Outcome, delivery: Delivery) -> bool:
        """False when the activation wants it kept as mail."""
        self._held[delivery] = activation
        taken = activation.outcome(outcome, partial(self._recorded, delivery))
        if not taken:
            del self._held[delivery]
        return taken

    def _recorded(self, delivery: Delivery) -> None:
        faults.point("outcome-recorded")
        self._held.pop(delivery, None)
        delivery.ack()
