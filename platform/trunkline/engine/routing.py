"""Which instances an event wakes, and as what."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from trunkline.domain.errors import BadEvent, BadKey, NoInstanceKey
from trunkline.domain.events import CloudEvent
from trunkline.domain.ids import RunId, check_key, derived_id, instance_id
from trunkline.domain.mail import Envelope
from trunkline.domain.specs import Subscription
from trunkline.domain.status import EnvelopeKind

_MISSING = object()


def route(tenant: str, event: CloudEvent, subscriptions: Iterable[Subscription]) -> list[Envelope]:
    """The envelopes that ``event`` becomes: one for each subscription to its type.

    Everything in them is derived from the event's identity, so that routing it again finds the same mailbox rows.

    Raises:
        NoInstanceKey: a subscription's key cannot be taken from the event.
    """
    body = event.to_body()
    return [_envelope(tenant, event, body, one) for one in subscriptions if one.event_type == event.type]


def key_of(body: dict[str, Any], path: str) -> str:
    """The instance key at ``path`` (e.g. ``data.order_id``) of an event's structured form; empty takes its ``id``.

    Raises:
        BadEvent: there is nothing at the path, or it is neither text nor an integer, or not a legal key.
    """
    value: Any = body
    for token in (path or "id").split("."):
        value = _member(value, token)
    if value is _MISSING or value is None:
        raise BadEvent(reason=f"the key {path or 'id'!r} is not in the event")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadEvent(reason=f"the key {path or 'id'!r} is neither text nor an integer")
    try:
        return check_key(str(value))
    except BadKey as error:
        raise BadEvent(reason=str(error)) from None


def _member(value: Any, token: str) -> Any:
    if isinstance(value, dict):
        return value.get(token, _MISSING)
    if isinstance(value, list) and token.isascii() and token.isdigit() and int(token) < len(value):
        return value[int(token)]
    return _MISSING


def _envelope(tenant: str, event: CloudEvent, body: dict[str, Any], subscription: Subscription) -> Envelope:
    try:
        key = key_of(body, subscription.key)
    except BadEvent as error:
        raise NoInstanceKey(agent=subscription.agent, reason=error.fields["reason"]) from None
    message_id = f"event:{sha256(event.identity.encode()).hexdigest()}:{subscription.handler}"
    instance = instance_id(tenant, subscription.agent, key)
    return Envelope(
        tenant=tenant,
        agent=subscription.agent,
        key=key,
        message_id=message_id,
        kind=EnvelopeKind.EVENT,
        run=RunId(derived_id("event-run", instance, message_id)),
        body={"input": body, "handler": subscription.handler, "parent": None},
    )
