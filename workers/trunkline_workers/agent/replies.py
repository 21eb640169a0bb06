"""Outcomes come back here. The owner appends them and only then acknowledges; for others they become mail.

Until then the server is told that they are in progress. What an activation takes with it when it is dropped is handed
back: it goes to whoever has the instance next.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from functools import partial
from typing import NoReturn

from trunkline.bus.attending import keeping
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


class _Parcel:
    """The outcomes of one message that are not recorded yet, by their place in it: and who is to record each; ``None``
    where it is not handed over.
    """

    __slots__ = ("delivery", "open")

    def __init__(self, delivery: Delivery, outcomes: int) -> None:
        self.delivery = delivery
        self.open: dict[int, Activation | None] = dict.fromkeys(range(outcomes))

    @property
    def lost(self) -> bool:
        """Whether somebody who was to record one no longer does."""
        return self.delivery.settled or any(one is not None and one.closed for one in self.open.values())


class Replies:
    """Handles every delivery of this worker's reply subject. ``ack_wait`` (seconds) is that of its consumer."""

    def __init__(self, db: Database, registry: Registry, dispatch: Dispatch, ack_wait: float) -> None:
        self._db, self._registry, self._dispatch = db, registry, dispatch
        self._attending = keeping(self._in_hand, ack_wait)
        self._held: dict[_Parcel, None] = {}

    async def keep(self) -> NoReturn:
        """Look after what is not recorded yet."""
        await self._attending.run()

    def _in_hand(self) -> list[Delivery]:
        """What is not recorded yet; what nobody is to record any more is handed back."""
        for parcel in [one for one in self._held if one.lost]:
            del self._held[parcel]
            parcel.delivery.nak()
        return [parcel.delivery for parcel in self._held]

    def on_delivery(self, delivery: Delivery) -> Awaitable[None] | None:
        """Hand each outcome to its activation; what has to be awaited posts those whose instances somebody else
        holds, and fetches values that were kept aside.
        """
        try:
            outcomes = Outcome.read_all(delivery.data)
        except NotAMessage as error:
            log.warning("an outcome is not readable: %s", error)
            delivery.term("not an outcome")
            return None
        faults.point("outcome-received")
        parcel = _Parcel(delivery, len(outcomes))
        self._held[parcel] = None
        self._attending.begin()
        left = [(n, one) for n, one in enumerate(outcomes) if one.value_ref or not self._hand(parcel, n, one)]
        return self._bring(parcel, left) if left else None

    def _hand(self, parcel: _Parcel, place: int, outcome: Outcome) -> bool:
        """False when it is to be kept as mail: nobody here has its instance, or wants it now."""
        activation = self._registry.find(outcome.instance)
        if activation is None or activation.closed:
            return False
        parcel.open[place] = activation
        taken = activation.outcome(outcome, partial(self._recorded, parcel, place))
        if not taken:
            parcel.open[place] = None
        return taken

    async def _bring(self, parcel: _Parcel, left: Sequence[tuple[int, Outcome]]) -> None:
        post = []
        for place, one in left:
            outcome = await whole(self._db, one)
            if not one.value_ref or not self._hand(parcel, place, outcome):
                post.append((place, outcome))
        if post:
            letters = await post_outcomes(self._db, [outcome for _, outcome in post])
            await faults.reach("outcome-posted")
            for letter in letters:
                self._dispatch.wake(letter.tenant, letter.agent, letter.instance)
        for place, _ in post:
            self._done(parcel, place)

    def _recorded(self, parcel: _Parcel, place: int) -> None:
        faults.point("outcome-recorded")
        self._done(parcel, place)

    def _done(self, parcel: _Parcel, place: int) -> None:
        """Acknowledge the message when all that it held is safe."""
        parcel.open.pop(place, None)
        if not parcel.open:
            self._held.pop(parcel, None)
            parcel.delivery.ack()
