"""One delivery of EVENTS on its way through the router: what it says, whom it is for, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from trunkline.bus.consume import Delivery
from trunkline.bus.events import decode_event
from trunkline.domain.codec import printable
from trunkline.domain.errors import BadEvent, BadJson, NotJson, PayloadTooLarge
from trunkline.domain.events import CloudEvent
from trunkline.domain.ids import derived_id
from trunkline.domain.mail import Envelope
from trunkline.store.changes import DeadLetter
from trunkline.store.dead_letters import readable
from trunkline_workers.router.routes import Routes


@dataclass(slots=True)
class Reading:
    """``event`` is ``None`` when it could not be read; each of ``objections`` becomes a dead letter, and each of
    ``crowded`` when it is given up.
    """

    delivery: Delivery
    event: CloudEvent | None = None
    letters: list[Envelope] = field(default_factory=list)
    objections: list[str] = field(default_factory=list)
    crowded: list[str] = field(default_factory=list)  # the instances that had no room for it

    @property
    def tenant(self) -> str:
        """The subject's second token, whatever the event says of itself."""
        return self.delivery.subject.split(".")[1]

    def strange(self, routes: Routes) -> bool:
        """Whether nobody is known to subscribe to it."""
        return self.event is not None and not routes.known(self.tenant, self.event.type)

    def route(self, routes: Routes) -> None:
        """Find out whom the event is for. One subscription whose key is not there does not hurt the others."""
        if self.event is not None:
            self.letters, self.objections = routes.address(self.tenant, self.event)

    def put_aside(self, full: Collection[str]) -> None:
        """These instances have no room: what is for them waits, and the others get theirs."""
        self.crowded += [f"{one.agent}/{one.key}" for one in self.letters if one.instance in full]
        self.letters = [one for one in self.letters if one.instance not in full]

    def dead_letters(self) -> list[tuple[str, DeadLetter]]:
        """What is kept of it, with ids that are the same whenever this delivery comes again."""
        bad = [(self._id(objection), self._dead_letter("bad event", objection)) for objection in self.objections]
        full = [f"{address} had no room for it, time and again" for address in self.crowded]
        return bad + [(self._id(one), self._dead_letter("mailbox full", one)) for one in full]

    def _id(self, objection: str) -> str:
        where = self.delivery.subject, str(self.delivery.stream_seq), str(self.delivery.published_at)
        return derived_id("event", *where, objection.replace("\x00", ""))

    def _dead_letter(self, reason: str, detail: str) -> DeadLetter:
        return DeadLetter(
            tenant=printable(self.tenant),
            source="event",
            reason=reason,
            detail=detail,
            subject=self.delivery.subject,
            body=readable(self.delivery.data) if self.event is None else self.event.to_body(),
            attempts=self.delivery.attempts,
        )


def read(delivery: Delivery, limit: int) -> Reading:
    """Decode the event of ``delivery``, of at most ``limit`` bytes. Never raises: what is wrong is an objection."""
    reading = Reading(delivery)
    try:
        event = decode_event(delivery.headers, delivery.data, limit)
    except (BadEvent, BadJson, NotJson, PayloadTooLarge) as error:
        reading.objections.append(str(error))
        return reading
    said = delivery.subject.split(".", 3)[3]
    if event.type == said:
        reading.event = event
    else:
        reading.objections.append(f"its type is {event.type!r}, but its subject says {said!r}")
    return reading
