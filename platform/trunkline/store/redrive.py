"""Dead letters that go out again: an event to all that subscribe now, a letter to its instance.

Sending and settling are one transaction, so a dead letter is redriven once. Who got the event before does not get it
again: it is found by its identity. What JetStream gave up of a step was told to its run, and is not to be redriven.
"""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.domain.errors import BadEvent, BadKey, NotRedrivable, TrunklineError
from trunkline.domain.events import parse_event
from trunkline.domain.mail import Envelope
from trunkline.domain.specs import Subscription
from trunkline.domain.status import EnvelopeKind
from trunkline.engine.routing import route
from trunkline.store.accept import accept_in
from trunkline.store.database import Database
from trunkline.store.dead_letters import Kept, get, settle
from trunkline.store.definitions import subscriptions


async def redrive(db: Database, letter: Kept) -> list[Envelope]:
    """Send ``letter`` out again, and settle it. Returns what was accepted: wake those instances.

    Asked a second time it sends nothing, and returns the same.

    Raises:
        NotRedrivable: it was discarded before, nothing can be made of it, or still nobody can take it.
        Unreachable: Postgres is away; it is done or not, and may be asked for again.
    """
    envelopes = _again(letter, (await subscriptions(db, letter.tenant)).get(letter.tenant, []))
    async with db.connection() as connection, connection.transaction():
        if not await settle(connection, letter.tenant, letter.id, "redriven"):
            if (await get(db, letter.tenant, letter.id)).settled_as == "redriven":
                return envelopes
            raise NotRedrivable(id=letter.id, reason="it was discarded before")
        await accept_in(connection, envelopes, schema=db.schema)
    return envelopes


def _again(letter: Kept, subscribed: Sequence[Subscription]) -> list[Envelope]:
    try:
        if letter.source == "event":
            return _event(letter, subscribed)
        if letter.source == "mailbox":
            return [_mail(letter)]
    except (BadEvent, BadKey, KeyError, TypeError, ValueError) as error:
        reason = str(error) if isinstance(error, TrunklineError) else "it does not hold what it should"
        raise NotRedrivable(id=letter.id, reason=reason) from None
    raise NotRedrivable(id=letter.id, reason=f"what came of it was told already (its source is {letter.source!r})")


def _event(letter: Kept, subscribed: Sequence[Subscription]) -> list[Envelope]:
    if not isinstance(letter.body, dict):
        raise NotRedrivable(id=letter.id, reason="it is no JSON object")
    envelopes = route(letter.tenant, parse_event(letter.body), subscribed)
    if not envelopes:
        raise NotRedrivable(id=letter.id, reason="no agent subscribes to its type")
    return envelopes


def _mail(letter: Kept) -> Envelope:
    """The letter to its instance, under a new id. Its run may have ended: a signal is then for the instance."""
    agent, _, key = letter.subject.partition("/")
    kind = EnvelopeKind(letter.body["kind"])
    if kind is not EnvelopeKind.SIGNAL:
        raise NotRedrivable(id=letter.id, reason=f"a {kind} belongs to a run that has ended")
    return Envelope(letter.tenant, agent, key, f"redrive:{letter.id}", kind, letter.body["body"])
