"""Names and identities. Ids are lower-case UUID text everywhere in Python; Postgres stores them as ``uuid``.

Identities that must come out the same on every replica are derived (UUIDv5) from what they name; all others are
UUIDv7, so that they sort by time.
"""

from __future__ import annotations

import re
import uuid
from typing import NewType

from uuid_utils import UUID, uuid5, uuid7

from trunkline.domain.errors import BadKey, BadName

Tenant = NewType("Tenant", str)
InstanceId = NewType("InstanceId", str)
RunId = NewType("RunId", str)
WorkerId = NewType("WorkerId", str)

DEFAULT_TENANT = Tenant("default")
MAX_KEY_BYTES = 512
FIRST_ID = "00000000-0000-0000-0000-000000000000"  # before every id

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}\Z")
_SPACE = UUID("6c0f6e43-5d3b-5f0c-9d51-74756e6b6c6e")


def check_name(kind: str, value: str) -> str:
    """Return ``value`` if it may stand as one token of a NATS subject.

    Raises:
        BadName: it has other characters than ASCII letters, digits, ``_`` and ``-``, or more than 64.
    """
    if not isinstance(value, str) or not _NAME.match(value):
        raise BadName(kind=kind, value=value)
    return value


def check_key(value: str) -> str:
    """Return ``value`` if it may name an instance. Dots, spaces, slashes, wildcards and non-ASCII letters are legal.

    Raises:
        BadKey: empty, too long, with a NUL or a lone surrogate, or not text.
    """
    if not isinstance(value, str) or not value:
        raise BadKey(value=value, reason="it is empty or not text")
    if "\x00" in value:
        raise BadKey(value=value, reason="it contains NUL")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise BadKey(value=value, reason="it contains a lone surrogate") from None
    if size > MAX_KEY_BYTES:
        raise BadKey(value=value[:40] + "…", reason=f"it has {size} bytes")
    return value


def new_id() -> str:
    """A fresh UUIDv7 (RFC 9562), as text."""
    return str(uuid7())


def is_id(value: str) -> bool:
    """Whether ``value``, which came from outside, is the text of a UUID."""
    try:
        return str(uuid.UUID(value)) == value.lower()
    except ValueError:
        return False


def new_worker_id() -> WorkerId:
    """A worker id is new at every process start, and is one token of a subject."""
    return WorkerId(new_id())


def instance_id(tenant: str, agent: str, key: str) -> InstanceId:
    """The id of an instance, derived from its address: whoever knows the address needs no look-up."""
    return InstanceId(derived_id("instance", tenant, agent, key))


def child_run_id(parent_run: str, step_key: str) -> RunId:
    """The id of the run that a step asks for, the same however often the ask is issued again."""
    return RunId(derived_id("child", parent_run, step_key))


def derived_id(*parts: str) -> str:
    """A UUIDv5 (RFC 9562) of ``parts``; NUL separates them, which no part may contain."""
    return str(uuid5(_SPACE, "\x00".join(parts)))
