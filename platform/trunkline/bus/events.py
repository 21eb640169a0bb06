"""CloudEvents on NATS: structured JSON out; structured or binary in.

Structured is ``application/cloudevents+json`` or, as the binding's version 1.0.2 has it, a plain JSON body without
headers. Binary mode is the binding's later text: every attribute is a ``ce-`` header, percent-encoded, and the body is
the data. (https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/nats-protocol-binding.md)
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from trunkline.bus.connection import Bus
from trunkline.domain.codec import dumps, loads
from trunkline.domain.errors import BadEvent, PayloadTooLarge
from trunkline.domain.events import CloudEvent, parse_event

STRUCTURED = "application/cloudevents+json"
_CONTENT_TYPE = "content-type"
_PREFIX = "ce-"
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\Z')


async def publish_event(bus: Bus, tenant: str, event: CloudEvent) -> None:
    """Publish ``event`` to EVENTS; returns when JetStream has stored it.

    Raises:
        NotJson: the data has no JSON form.
        PayloadTooLarge: the server takes less.
        Unavailable: JetStream refused it, or the bus was closed.
    """
    body = dumps(event.to_body(), what="the event")
    subject = bus.subjects.event(tenant, event.type)
    await bus.publish(subject, body, msg_id=message_id(event), headers={_CONTENT_TYPE: STRUCTURED})


def message_id(event: CloudEvent) -> str:
    """The ``Nats-Msg-Id``: the same for the same source and id, and short whatever they are."""
    return hashlib.sha256(event.identity.encode()).hexdigest()


def decode_event(headers: Mapping[str, str], data: bytes, limit: int) -> CloudEvent:
    """The event of a message, in whichever mode it came.

    Raises:
        BadEvent: an attribute is missing or malformed, or the mode or format is not one of ours; the reason names it.
        BadJson: the body should be JSON and is not, or holds what may not be kept.
        PayloadTooLarge: the body has more than ``limit`` bytes.
    """
    given = {name.lower(): value for name, value in headers.items()}
    media = _media_type(given.get(_CONTENT_TYPE, ""))
    if media.startswith("application/cloudevents"):
        if media not in ("application/cloudevents", STRUCTURED):
            raise BadEvent(reason=f"the format {media} is not supported; send {STRUCTURED}, or binary mode")
        return _structured(data, limit)
    if any(name.startswith(_PREFIX) for name in given):
        return _binary(given, data, limit)
    return _structured(data, limit)


def _structured(data: bytes, limit: int) -> CloudEvent:
    event = parse_event(loads(data, what="the event", limit=limit))
    if event.data_base64 is not None:
        _check_base64(event.data_base64)
    return event


def _binary(headers: Mapping[str, str], data: bytes, limit: int) -> CloudEvent:
    attributes: dict[str, Any] = {
        name.removeprefix(_PREFIX): _value(name, value) for name, value in headers.items() if name.startswith(_PREFIX)
    }
    for reserved in ("data", "data_base64"):
        if reserved in attributes:
            raise BadEvent(reason=f"the header {_PREFIX}{reserved} is not an attribute; the body is the data")
    if _CONTENT_TYPE in headers:
        attributes.setdefault("datacontenttype", headers[_CONTENT_TYPE])
    if len(data) > limit:
        raise PayloadTooLarge(what="the event", size=len(data), limit=limit)
    return parse_event({**attributes, **_data(attributes.get("datacontenttype", ""), data, limit)})


def _data(content_type: str, data: bytes, limit: int) -> dict[str, Any]:
    """The body as the attribute it would be in structured JSON. Without a content type it is JSON."""
    media = _media_type(content_type)
    if not data:
        return {}
    if not media or media == "application/json" or media.endswith("+json"):
        return {"data": loads(data, what="the event's data", limit=limit)}
    if media.startswith("text/"):
        return {"data": _text(data, media)}
    return {"data_base64": base64.b64encode(data).decode()}


def _text(data: bytes, media: str) -> str:
    if b"\x00" in data:
        raise BadEvent(reason="the data contains NUL")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BadEvent(reason=f"the data is {media} and not UTF-8") from None


def _value(name: str, text: str) -> str:
    """A header's value: quotes removed, then percent-decoded once."""
    quoted = _QUOTED.match(text)
    if quoted:
        text = re.sub(r"\\(.)", r"\1", quoted[1])
    if _ESCAPE.search(text):
        raise BadEvent(reason=f"the header {name} has a % that begins no escape")
    try:
        value = unquote_to_bytes(text).decode()
    except UnicodeError:
        raise BadEvent(reason=f"the header {name} is not UTF-8 after percent-decoding") from None
    if _CONTROL.search(value):
        raise BadEvent(reason=f"the header {name} contains control characters")
    return value


def _check_base64(text: str) -> None:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadEvent(reason="data_base64 is not base64") from None


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()
