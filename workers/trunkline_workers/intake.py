"""What comes to a tool or LLM worker from WORK: a work item that belongs there, or a dead letter."""

from __future__ import annotations

from typing import Any

from trunkline.bus.consume import Delivery
from trunkline.bus.subjects import Subjects
from trunkline.domain.codec import dumps, loads
from trunkline.domain.errors import NotAMessage
from trunkline.domain.ids import derived_id
from trunkline.domain.work import WorkItem
from trunkline.observe import logs, metrics
from trunkline.store import dead_letters, payloads
from trunkline.store.changes import DeadLetter
from trunkline.store.database import Database, Unreachable
from trunkline_workers.execution import Nonsense, Station

log = logs.get("workers")

_LONGEST_NAK = 30.0


def decode(station: Station, delivery: Delivery, tenant: str, subjects: Subjects) -> WorkItem:
    """The work item in ``delivery``.

    Raises:
        Nonsense: it holds none, or one that does not belong on its subject.
    """
    try:
        item = WorkItem.read(delivery.data)
    except NotAMessage as error:
        raise Nonsense(f"not a work item: {error.fields['reason']}") from None
    if not station.takes(item) or item.tenant != tenant:
        raise Nonsense(f"{item.kind} {item.name!r} of tenant {item.tenant!r} does not belong on this subject")
    if not item.reply.startswith(subjects.reply(tenant, "")):
        raise Nonsense(f"{item.reply!r} is no reply subject of this tenant")
    return item


def anew(delivery: Delivery, item: WorkItem) -> bytes:
    """The item of ``delivery`` as it is sent again: no younger than the broker knows it to be, whatever the clock of
    its owner says, and not for the first time. Sent again the broker would know no more: the item would be young for as
    long as that clock is ahead, and nobody would be asked about what may be under way.
    """
    if item.again and item.published_at <= delivery.published_at:
        return delivery.data
    since = min(item.published_at, delivery.published_at)
    return dumps({**loads(delivery.data), "published_at": since, "again": True})


async def args_of(db: Database, item: WorkItem) -> Any:
    """The item's arguments, wherever they are.

    Raises:
        KeyError: they were kept aside, and are no longer there.
        Unreachable: they were kept aside, and Postgres is away.
    """
    return await payloads.get(db, item.tenant, item.args_ref) if item.args_ref else item.args


async def bury(db: Database, delivery: Delivery, tenant: str, reason: str) -> None:
    """Keep what is no work item as a dead letter, once. (Terminating it would make a second one, from the advisory.)"""
    log.warning("dead letter", subject=delivery.subject, why=reason)
    body = dead_letters.readable(delivery.data)
    letter = DeadLetter(tenant, "work", "not a work item", reason, delivery.subject, body, delivery.attempts)
    try:
        await dead_letters.add(db, letter, id_=derived_id("work", delivery.subject, str(delivery.published_at)))
    except Unreachable:
        delivery.nak(min(2.0**delivery.attempts, _LONGEST_NAK))
    else:
        delivery.ack()
        metrics.dead_letters.labels(source="work").inc()
