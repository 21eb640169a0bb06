"""JSON as it may be stored and sent: strict, UTF-8, without NUL, lone surrogates, NaN or numbers beyond a double.

``dumps`` and ``loads`` are the only way from values to JSON text and back. Postgres ``json`` columns keep the text as
it was written (``jsonb`` would reorder keys, and a replay would then see another dict than the live run did).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

from trunkline.domain.errors import BadJson, NotJson, PayloadTooLarge

MOST_BYTES = 16 * 1024 * 1024  # of one value in a journal; not a setting, for a replay must come to the same

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_HUGE = re.compile(rb"[0-9]{300}|[0-9][eE]\+?[0-9]{3,}\s*(?:[,}\]]|\Z)")
# The same, roughly, by what is ten times as fast on long texts: every digit as 1, and no other letter than e.
_SHAPE = bytes(0x31 if 0x30 <= c <= 0x39 else 0x65 if c in b"eE" else c if c == 0x2B else 0x20 for c in range(256))
_DIGITS = 300  # fewer make no number that is beyond a double
_LONG = b"1" * _DIGITS
_EXACT = 2**53
_SHORT = 1000


def dumps(value: Any, *, what: str = "the value") -> bytes:
    """Encode ``value`` (JSON values, pydantic models, dataclasses, dates, UUIDs, enums, …) as UTF-8 JSON.

    Raises:
        NotJson: it holds something that has no JSON form, NaN or an infinity, NUL, or a lone surrogate.
    """
    try:
        text = to_json(value, inf_nan_mode="constants")
    except (PydanticSerializationError, UnicodeError, ValueError, RecursionError) as error:
        raise NotJson(what=what, reason=_one_line(error)) from None
    reason = _special(text) or (_too_large(text) if len(text) > _DIGITS else "")  # floats are doubles already
    if reason:
        raise NotJson(what=what, reason=reason)
    return text


def loads(text: bytes | str, *, what: str = "the body", limit: int | None = None) -> Any:
    """Decode JSON that came from outside.

    Raises:
        BadJson: it is malformed, or holds NaN, NUL, a lone surrogate or a number beyond a double.
        PayloadTooLarge: it is longer than ``limit`` bytes.
    """
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if limit is not None and len(raw) > limit:
        raise PayloadTooLarge(what=what, size=len(raw), limit=limit)
    try:
        # Only keys repeat. Cached values are ids of instances long gone, and each keeps a whole page of memory.
        value = from_json(raw, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        raise BadJson(what=what, reason=_one_line(error)) from None
    reason = _special(raw) or _too_large(raw)
    if reason:
        raise BadJson(what=what, reason=reason)
    return value


def roundtrip(value: Any, *, what: str = "the value") -> Any:
    """What a reader of the journal would get for ``value``: a live run must see the same.

    Raises:
        NotJson: as ``dumps``; also for NaN and infinities inside of models, which ``dumps`` writes as null.
        PayloadTooLarge: it is longer than ``MOST_BYTES``.
    """
    if type(value) is tuple and all(map(is_plain, value)):
        return list(value)
    if is_plain(value):
        return value
    text = dumps(value, what=what)
    if len(text) > MOST_BYTES:
        raise PayloadTooLarge(what=what, size=len(text), limit=MOST_BYTES)
    if b"null" in text:
        check_finite(value, what=what)
    return from_json(text, allow_inf_nan=False, cache_strings="keys")


def is_plain(value: Any) -> bool:
    """Whether ``value`` is at a glance what its JSON is read back as: much of what goes through the hot path."""
    kind = type(value)
    if kind is int:
        return bool(-_EXACT < value < _EXACT)
    if kind is str:
        return len(value) <= _SHORT and bool(value.isascii()) and "\x00" not in value
    return value is None or kind is bool


def check_finite(value: Any, *, what: str = "the value") -> None:
    """Look for NaN and infinities also inside of models and dataclasses, which are written as null there.

    Raises:
        NotJson: there is one.
    """
    left, seen = [value], set()
    while left:
        one = left.pop()
        if isinstance(one, float):
            if not math.isfinite(one):
                raise NotJson(what=what, reason="NaN and infinities are not JSON numbers")
        elif isinstance(one, str | bytes | int | None) or id(one) in seen:
            continue
        else:
            seen.add(id(one))
            left.extend(_parts(one))


def printable(text: str, limit: int = 0) -> str:
    """``text`` as it can be kept: NUL and lone surrogates replaced, and cut to ``limit`` characters (0: uncut)."""
    if limit and len(text) > limit:
        text = text[: limit - 1] + "…"
    return text.encode("utf-8", "replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")


def digest(value: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of ``value``: equal for equal values whatever the order of their keys."""
    return hashlib.sha256(canonical(value)).hexdigest()


def canonical(value: Any) -> bytes:
    """The one JSON text of all values that are equal to ``value``: keys are sorted, and there is no white space."""
    plain = from_json(dumps(value), allow_inf_nan=False)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    if isinstance(value, list | tuple | set | frozenset):
        return value
    if is_dataclass(value) or hasattr(type(value), "__pydantic_fields__"):
        slots = getattr(type(value), "__dataclass_fields__", ())
        return [*getattr(value, "__dict__", {}).values(), *(getattr(value, name, None) for name in slots)]
    return ()


def _special(text: bytes) -> str:
    """Why this JSON text may not be kept for a value in it that is not text or a number; empty if it may."""
    if b"\\u0000" in text and _NUL.search(text):
        return "text contains NUL (\\u0000)"
    if (b"NaN" in text or b"Infinity" in text) and _has_constant(text):
        return "NaN and infinities are not JSON numbers"
    return ""


def _too_large(text: bytes) -> str:
    """Why this JSON text may not be kept for a number in it; empty if it may. Cheap for the texts that may."""
    shape = text.translate(_SHAPE)
    suspect = b"1e111" in shape or b"1e+111" in shape or _LONG in shape
    if suspect and _HUGE.search(text) and _has_huge_number(text):
        return "a number is too large for a double"
    return ""


def _has_constant(text: bytes) -> bool:
    found: list[str] = []
    json.loads(text, parse_constant=found.append)
    return bool(found)


def _has_huge_number(text: bytes) -> bool:
    too_large: list[str] = []

    def check(number: str) -> None:
        if len(number) > 4000 or abs(float(number)) == float("inf"):
            too_large.append(number)

    json.loads(text, parse_int=check, parse_float=check)
    return bool(too_large)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
