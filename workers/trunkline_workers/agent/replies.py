"""Outcomes come back here. The owner appends them and only then acknowledges; for others they become mail."""

from __future__ import annotations

from functools import partial

from pydantic import ValidationError

from trunkline.bus.consume import Delivery
from trunkline.domain.codec import loads
from trunkline.domain.errors import BadJson
from trunkline.domain.work import Outcome
from trunkline.observe import faults, logs
from trunkline.store.database import Database
from trunkline.store.replies import post_outcomes, whole
from trunkline_workers.agent.dispatch import Dispatch
from trunkline_workers.agent.registry import Registry

log = logs.get("replies")


class Replies:
    """Handles every delivery of this worker's reply subject."""

    def __init__(self, db: Database, registry: Registry, dispatch: Dispatch) -> None:
        self._db, self._registry, self._dispatch = db, registry, dispatch

    async def on_delivery(self, delivery: Delivery) -> None:
        """Hand the outcome to its activation, or post it to an instance that somebody else holds."""
        try:
            outcome = Outcome.model_validate(loads(delivery.data, what="the outcome"))
        except (BadJson, ValidationError) as error:
            log.warning("an outcome is not readable: %s", error)
            delivery.term("not an outcome")
            return
        outcome = await whole(self._db, outcome)
        await faults.reach("outcome-received")
        activation = self._registry.find(outcome.instance)
        if activation is None or activation.closed or not activation.outcome(outcome, partial(_recorded, delivery)):
            letters = await post_outcomes(self._db, [outcome])
            await faults.reach("outcome-posted")
            for letter in letters:
                self._dispatch.wake(letter.tenant, letter.agent, letter.instance)
            delivery.ack()


def _recorded(delivery: Delivery) -> None:
    faults.point("outcome-recorded")
    delivery.ack()
