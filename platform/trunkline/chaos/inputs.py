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
    return _Sampler(schema, number).value(schema, "sample")


class _Sampler:
    """``above`` are the references that are being followed: what leads back to one of them has no end."""

    def __init__(self, root: Schema, number: int, above: frozenset[str] = frozenset()) -> None:
        self._root, self._number, self._above = root, number, above

    def value(self, schema: Schema | bool, name: str) -> Any:
        if isinstance(schema, bool):
            return self._anything(schema, name)
        if "$ref" in schema:
            return self._followed(schema["$ref"], schema, name)
        if "allOf" in schema:
            return self.value(_merged([*schema["allOf"], _without(schema, "allOf")]), name)
        fixed = [schema["const"]] if "const" in schema else schema.get("enum")
        if fixed:
            return fixed[(self._number - 1) % len(fixed)]
        choices = schema.get("anyOf") or schema.get("oneOf")
        return self._choice(choices, name) if choices else self._typed(schema, name)

    def _typed(self, schema: Schema, name: str) -> Any:
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            return self._choice([{**schema, "type": one} for one in kind], name)
        if kind in ("object", "array"):
            return (self._object if kind == "object" else self._array)(schema, name)
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

    def _followed(self, reference: str, schema: Schema, name: str) -> Any:
        """What ``reference`` leads to, with what else is said beside it."""
        if reference in self._above:
            raise NoSample(reason=f"{name!r} holds itself")
        whole = _merged([self._referred(reference), _without(schema, "$ref")])
        return _Sampler(self._root, self._number, self._above | {reference}).value(whole, name)

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

    def _choice(self, choices: Sequence[Schema], name: str) -> Any:
        """The first that can be made; nothing (null) only as the last way out."""
        reason = f"nothing fits {name!r}"
        for choice in sorted(choices, key=lambda one: isinstance(one, Mapping) and one.get("type") == "null"):
            try:
                return self.value(choice, name)
            except NoSample as error:
                reason = error.fields["reason"]
        raise NoSample(reason=reason)

    def _object(self, schema: Schema, name: str) -> dict[str, Any]:
        properties = schema.get("properties", {})
        names = list(schema.get("required", ()))
        names += [one for one in properties if one not in names][: max(0, schema.get("minProperties", 0) - len(names))]
        made = {one: self.value(properties.get(one, True), one) for one in names}
        others = schema.get("additionalProperties", True)
        for place in range(schema.get("minProperties", 0) - len(made)):
            made[f"{name}_{place + 1}"] = self.value(others, name)
        return made

    def _array(self, schema: Schema, name: str) -> list[Any]:
        first = schema.get("prefixItems", ())
        made = [self.value(one, name) for one in first]
        for place in range(len(made), schema.get("minItems", 0)):
            made.append(self._item(schema, name, place, made))
        return made

    def _item(self, schema: Schema, name: str, place: int, before: list[Any]) -> Any:
        items = schema.get("items", True)
        known = {digest(one) for one in before} if schema.get("uniqueItems") else set()
        for number in range(place, place + _TRIES):
            item = _Sampler(self._root, self._number + number, self._above).value(items, name)
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


def _without(schema: Schema, word: str) -> Schema:
    return {each: value for each, value in schema.items() if each != word}


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
