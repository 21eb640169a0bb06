"""What is written as text in a declaration, checked when it is declared: event types, key paths, durations, choices."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from trunkline.authoring.schema import reason_of
from trunkline.domain.durations import MAX_SECONDS, Duration, seconds
from trunkline.domain.errors import BadDeclaration, BadDuration
from trunkline.domain.events import EventType
from trunkline.domain.specs import RestartPolicy, RetryPolicy
from trunkline.domain.status import Restart

E = TypeVar("E", bound=StrEnum)
M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")

_EVENT_TYPE: TypeAdapter[str] = TypeAdapter(EventType)
_PATH = re.compile(r"data(\.[^.\s]+)*|[a-z0-9]{1,20}")


def check_event_type(what: str, value: Any) -> str:
    """Return ``value`` if it may be the type of an event.

    Raises:
        BadDeclaration: it is not dot-separated tokens.
    """
    try:
        return _EVENT_TYPE.validate_python(value, strict=True)
    except ValidationError:
        raise BadDeclaration(
            what=what,
            reason=f"{value!r} is not an event type",
            fix='Write tokens of letters, digits, "_" and "-" with dots between them, such as "order.placed"',
        ) from None


def check_path(what: str, value: str | None) -> str:
    """Return the path into an event that names the instance; empty for none.

    Raises:
        BadDeclaration: it is neither an attribute of events nor a path into their data.
    """
    if value is None:
        return ""
    if not isinstance(value, str) or not _PATH.fullmatch(value):
        raise BadDeclaration(
            what=what,
            reason=f"key={value!r} is not a path into an event",
            fix='Write "data.order_id" for a field of its data, or an attribute such as "subject"',
        )
    return value


def check_duration(what: str, argument: str, value: Duration) -> float:
    """The duration in seconds.

    Raises:
        BadDeclaration: it is no duration, or zero.
    """
    if type(value) is int and 0 < value <= MAX_SECONDS:  # as most are
        return float(value)
    try:
        length = seconds(value)
    except BadDuration as error:
        reason = f"{argument}=: {error}".rstrip(".")
        raise BadDeclaration(what=what, reason=reason, fix=f'Write {argument}="30s"') from None
    if length == 0:
        raise BadDeclaration(what=what, reason=f"{argument}= is zero", fix=f'Write {argument}="30s"')
    return length


def check_choice(what: str, argument: str, choices: type[E], value: str) -> E:
    """The member of ``choices`` that ``value`` names.

    Raises:
        BadDeclaration: there is no such member.
    """
    try:
        return choices(value)
    except ValueError:
        named = ", ".join(f'"{choice}"' for choice in choices)
        raise BadDeclaration(what=what, reason=f"{argument}={value!r}", fix=f"Choose one of {named}") from None


def retry_policy(what: str, retries: int | RetryPolicy, base: float = 0.2) -> RetryPolicy:
    """The policy that ``retries`` says: a number of further attempts, or all of it. ``base`` is the first delay (s).

    Raises:
        BadDeclaration: it is neither, or out of range.
    """
    return retries if isinstance(retries, RetryPolicy) else checked(what, RetryPolicy, retries=retries, base=base)


def restart_policy(what: str, value: str | Restart | RestartPolicy) -> RestartPolicy:
    """The policy that ``restart=`` says: a kind of restart, or all of it.

    Raises:
        BadDeclaration: it is neither.
    """
    if isinstance(value, RestartPolicy):
        return value
    return RestartPolicy(restart=check_choice(what, "restart", Restart, value))


def checked(what: str, type_: type[M], /, **fields: Any) -> M:
    """An instance of ``type_``, a value object of a declaration.

    Raises:
        BadDeclaration: a field is out of its range.
    """
    try:
        return type_(**fields)
    except ValidationError as error:
        raise BadDeclaration(what=what, reason=reason_of(error), fix="Correct that argument") from None


def register(declared: dict[str, T], kind: str, name: str, value: T) -> None:
    """Add to what an app has declared of this kind.

    Raises:
        BadDeclaration: the name is taken.
    """
    if name in declared:
        reason = f"this app has a {kind} of that name already"
        raise BadDeclaration(what=f"{kind} {name!r}", reason=reason, fix="Give one of them another name")
    declared[name] = value
