"""Sample values that fit a JSON schema (draft 2020-12, as pydantic writes it): plain, small, and not two alike."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from trunkline.domain.codec import digest
from trunkline.domain.errors import TrunklineError

Schema = Mapping[str, Any]

DEEPEST = 24  # levels of values within values
_TRIES = 50  # numbers that are tried until the items of an array differ
_MANY = 1_000_000  # different numbers are enough
_FORMATS = {
    "date-time": "2026-01-{day:02}T12:00:00Z",
    "date": "2026-01-{day:02}",
    "time": "12:00:{day:02}Z",
    "duration": "PT{n}S",
    "uuid": "00000000-0000-4000-8000-{n:012}",
    "email": "sample-{n}@example.com",
    "uri": "https://example.com/{n}",
    "hostname": "host-{n}.example.com",
    "ipv4": "192.0.2.{day}",
    "ipv6": "2001:db8::{day}",
    "binary": "sample",
}


class NoSample(TrunklineError):
    """No sample value can be made: {reason}."""

    status = 422


def sample(schema: Schema, number: int = 1) -> Any:
    """A JSON value for ``schema``; another one for another ``number`` (from 1) wherever the schema leaves room.

    Objects get what they require, and no more.

    Raises:
        NoSample: the schema asks for something that is not to be guessed, such as text after a pattern.
    """
    return _Sampler(schema, number).value(schema, "sample", 0)


class _Sampler:
    def __init__(self, root: Schema, number: int) -> None:
        self._root, self._number = root, number

    def value(self, schema: Schema | bool, name: str, depth: int) -> Any:
        if depth > DEEPEST:
            raise NoSample(reason=f"{name!r} holds itself")
        if isinstance(schema, bool):
            return self._anything(schema, name)
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][(self._number - 1) % len(schema["enum"])]
        for choice in ("anyOf", "oneOf"):
            if choice in schema:
                return self._choice(schema[choice], name, depth)
        return self._typed(schema, name, depth)

    def _typed(self, schema: Schema, name: str, depth: int) -> Any:
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            return self._choice([{**schema, "type": one} for one in kind], name, depth)
        if kind in ("object", "array"):
            return (self._object if kind == "object" else self._array)(schema, name, depth)
        plain: dict[str, Callable[[], Any]] = {
            "integer": lambda: _number(schema, self._number, name),
            "number": lambda: _number(schema, self._number, name),
            "boolean": lambda: self._number % 2 == 1,
            "null": lambda: None,
            "string": lambda: self._text(schema, name),
        }
        if kind not in plain:
            raise NoSample(reason=f"{name!r} has the unknown type {kind!r}")
        return plain[kind]()

    def _anything(self, allowed: bool, name: str) -> str:
        if not allowed:
            raise NoSample(reason=f"nothing fits {name!r}")
        return f"{name}-{self._number}"

    def _resolved(self, schema: Schema) -> Schema:
        """``schema`` with what it refers to, and all that it must fit besides, in one."""
        seen = 0
        while "$ref" in schema or "allOf" in schema:
            seen += 1
            if seen > DEEPEST:
                raise NoSample(reason="a reference leads to itself")
            rest = {word: value for word, value in schema.items() if word not in ("$ref", "allOf")}
            parts = [self._referred(schema["$ref"])] if "$ref" in schema else []
            schema = _merged([*parts, *schema.get("allOf", ()), rest])
        return schema

    def _referred(self, reference: str) -> Schema:
        found: Any = self._root
        for token in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
            key = token.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, Mapping) or key not in found:
                raise NoSample(reason=f"{reference!r} leads nowhere")
            found = found[key]
        if not isinstance(found, Mapping):
            raise NoSample(reason=f"{reference!r} is no schema")
        return found

    def _choice(self, choices: Sequence[Schema], name: str, depth: int) -> Any:
        """The first that can be made; nothing (null) only as the last way out."""
        reason = f"nothing fits {name!r}"
        for choice in sorted(choices, key=lambda one: isinstance(one, Mapping) and one.get("type") == "null"):
            try:
                return self.value(choice, name, depth + 1)
            except NoSample as error:
                reason = error.fields["reason"]
        raise NoSample(reason=reason)

    def _object(self, schema: Schema, name: str, depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        names = list(schema.get("required", ()))
        names += [one for one in properties if one not in names][: max(0, schema.get("minProperties", 0) - len(names))]
        made = {one: self.value(properties.get(one, True), one, depth + 1) for one in names}
        others = schema.get("additionalProperties", True)
        for place in range(schema.get("minProperties", 0) - len(made)):
            made[f"{name}_{place + 1}"] = self.value(others, name, depth + 1)
        return made

    def _array(self, schema: Schema, name: str, depth: int) -> list[Any]:
        first = schema.get("prefixItems", ())
        made = [self.value(one, name, depth + 1) for one in first]
        for place in range(len(made), schema.get("minItems", 0)):
            made.append(self._item(schema, name, depth, place, made))
        return made

    def _item(self, schema: Schema, name: str, depth: int, place: int, before: list[Any]) -> Any:
        items = schema.get("items", True)
        known = {digest(one) for one in before} if schema.get("uniqueItems") else set()
        for number in range(place, place + _TRIES):
            item = _Sampler(self._root, self._number + number).value(items, name, depth + 1)
            if digest(item) not in known:
                return item
        raise NoSample(reason=f"the items of {name!r} are to differ")

    def _text(self, schema: Schema, name: str) -> str:
        n = self._number
        made = _FORMATS.get(schema.get("format", ""), f"{name}-{{n}}").format(n=n, day=1 + n % 28)
        least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
        if len(made) > most:
            made = str(n)[-int(most) :] if most else ""
        made = made.ljust(least, "x")
        if "pattern" not in schema:
            return made
        tried = [one for one in (made, *_shapes(n, name, max(least, 1))) if least <= len(one) <= most]
        return _fitting(schema["pattern"], tried, name)


def _shapes(n: int, name: str, least: int) -> list[str]:
    """Texts of common patterns, which are tried rather than solved."""
    digits, letters = str(n).rjust(least, "0"), "a" * least
    return [digits, letters, letters.upper(), f"A{digits}", f"a{digits}", f"{name}_{n}", f"A-{digits}"]


def _fitting(pattern: str, tried: Sequence[str], name: str) -> str:
    try:
        return next(one for one in tried if re.search(pattern, one))
    except (StopIteration, re.error):
        raise NoSample(reason=f"{name!r} is to fit the pattern {pattern!r}") from None


def _number(schema: Schema, number: int, name: str) -> int | float:
    """A multiple within the bounds: a small positive one, where there is room."""
    whole = schema.get("type") == "integer"
    step = Fraction(str(schema.get("multipleOf", 1)))
    step = Fraction(step.numerator) if whole else step
    low, high = _bounds(schema)
    first, last = _multiples(schema, step, low, high)
    if first <= last:
        found = (first + (number - 1) % (last - first + 1)) * step
    elif whole or "multipleOf" in schema or low is None or high is None or low >= high:
        raise NoSample(reason=f"no number fits {name!r}")
    else:
        found = (low + high) / 2  # between two whole numbers
    return int(found) if found.denominator == 1 else float(found)


def _multiples(schema: Schema, step: Fraction, low: Fraction | None, high: Fraction | None) -> tuple[int, int]:
    """The first and the last multiple of ``step`` that may be taken; none if the first is beyond the last."""
    last = None if high is None else math.floor(high / step)
    if last is not None and last * step == schema.get("exclusiveMaximum"):
        last -= 1
    first = min(1, 1 if last is None else last) if low is None else math.ceil(low / step)
    if low is not None and first * step == schema.get("exclusiveMinimum"):
        first += 1
    if first < 1 and (last is None or last >= 1):
        first = 1
    return first, first + _MANY if last is None else last


def _bounds(schema: Schema) -> tuple[Fraction | None, Fraction | None]:
    lows = [Fraction(str(schema[word])) for word in ("minimum", "exclusiveMinimum") if word in schema]
    highs = [Fraction(str(schema[word])) for word in ("maximum", "exclusiveMaximum") if word in schema]
    return max(lows, default=None), min(highs, default=None)


def _merged(parts: Sequence[Schema]) -> Schema:
    whole: dict[str, Any] = {}
    for part in parts:
        for word, value in part.items():
            if word == "properties":
                whole[word] = {**whole.get(word, {}), **value}
            elif word == "required":
                whole[word] = list(dict.fromkeys([*whole.get(word, ()), *value]))
            else:
                whole[word] = value
    return whole
