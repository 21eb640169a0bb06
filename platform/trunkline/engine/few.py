"""Containers that are small while they hold little: a run that sleeps has several, and a worker many such runs."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any, TypeVar

K = TypeVar("K")
V = TypeVar("V")

Several = list[V] | tuple[()]  # while there are none, there is no list

_MISSING: Any = object()


class Few(MutableMapping[K, V]):
    """As a dict, in the order in which the keys came; none of them is ``None``. One entry takes 64 bytes (a dict: 184
    to 232), and so do none after there were many.
    """

    __slots__ = ("_key", "_many", "_value")

    def __init__(self) -> None:
        self._key: K | None = None
        self._value: Any = None
        self._many: dict[K, V] | None = None  # all of them, when there are two or more

    def __getitem__(self, key: K) -> V:
        if self._many is not None:
            return self._many[key]
        if key != self._key:
            raise KeyError(key)
        value: V = self._value
        return value

    def __setitem__(self, key: K, value: V) -> None:
        if self._many is not None:
            self._many[key] = value
        elif self._key is None or self._key == key:
            self._key, self._value = key, value
        else:
            self._many = {self._key: self._value, key: value}
            self._key = self._value = None

    def __delitem__(self, key: K) -> None:
        self.pop(key)

    def __contains__(self, key: object) -> bool:
        return key == self._key if self._many is None else key in self._many

    def __iter__(self) -> Iterator[K]:
        if self._many is not None:
            return iter(self._many)
        return iter(() if self._key is None else (self._key,))

    def __len__(self) -> int:
        return len(self._many) if self._many is not None else self._key is not None

    # What a mapping has from these is slower, and this is the hot path.

    def get(self, key: K, default: Any = None) -> Any:
        if self._many is not None:
            return self._many.get(key, default)
        return self._value if key == self._key else default

    def pop(self, key: K, default: Any = _MISSING) -> Any:
        if self._many is None and key == self._key:
            value, self._key, self._value = self._value, None, None
        elif self._many is None or key not in self._many:
            value = default
        else:
            value = self._many.pop(key)
            if not self._many:
                self._many = None
        if value is _MISSING:
            raise KeyError(key)
        return value

    def clear(self) -> None:
        self._key = self._value = self._many = None


def joined(several: Several[V], one: V) -> list[V]:
    """``several`` with ``one`` behind the others: to be kept instead."""
    if not several:
        return [one]
    several.append(one)
    return several


def left(several: Several[V], one: V) -> Several[V]:
    """``several`` without ``one``: to be kept instead."""
    if several:
        several.remove(one)
    return several or ()
