"""Several steps at once: the part of ``Context`` that joins awaitables, typed for each number of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar, overload

from trunkline.domain.durations import Duration, seconds
from trunkline.domain.status import StepKind
from trunkline.engine.replay import RunDriver
from trunkline.engine.step import Step

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
F = TypeVar("F")
T = TypeVar("T")


class Branching:
    """Steps and coroutines may be mixed; each coroutine becomes a branch, which makes its own steps."""

    __slots__ = ("_driver", "_key")

    def __init__(self, driver: RunDriver, key: str | None = None) -> None:
        self._driver = driver
        self._key = key  # of the one step that is made with this

    @property
    def run_id(self) -> str:
        return self._driver.started.run

    def schedule(
        self,
        kind: StepKind,
        name: str,
        args: Any = None,
        *,
        options: dict[str, Any] | None = None,
        decode: Callable[[Any], T],
        payload: Any = None,
    ) -> Step[T]:
        """What all calls stand on: a recorded step of any kind. ``args`` and ``options`` are JSON."""
        return self._driver.schedule(kind, name, args, options=options, key=self._key, decode=decode, payload=payload)

    @overload
    def gather(self, a: Awaitable[A], /) -> Step[tuple[A]]: ...
    @overload
    def gather(self, a: Awaitable[A], b: Awaitable[B], /) -> Step[tuple[A, B]]: ...
    @overload
    def gather(self, a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], /) -> Step[tuple[A, B, C]]: ...
    @overload
    def gather(
        self, a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], d: Awaitable[D], /
    ) -> Step[tuple[A, B, C, D]]: ...
    @overload
    def gather(
        self, a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], d: Awaitable[D], e: Awaitable[E], /
    ) -> Step[tuple[A, B, C, D, E]]: ...
    @overload
    def gather(
        self, a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], d: Awaitable[D], e: Awaitable[E], f: Awaitable[F], /
    ) -> Step[tuple[A, B, C, D, E, F]]: ...
    @overload
    def gather(self, *awaitables: Awaitable[A]) -> Step[tuple[A, ...]]: ...
    def gather(self, *awaitables: Awaitable[Any]) -> Step[Any]:
        """All results, in the order of the arguments. The first failure cancels the others and is raised.

        Raises:
            BadDeclaration: one of them is neither from ``ctx`` nor a coroutine.
        """
        return self._driver.gather(awaitables)

    @overload
    def race(self, a: Awaitable[A], b: Awaitable[B], /) -> Step[A | B]: ...
    @overload
    def race(self, a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], /) -> Step[A | B | C]: ...
    @overload
    def race(self, a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], d: Awaitable[D], /) -> Step[A | B | C | D]: ...
    @overload
    def race(self, *awaitables: Awaitable[A]) -> Step[A]: ...
    def race(self, *awaitables: Awaitable[Any]) -> Step[Any]:
        """The result, or the error, of the first to end; the others are cancelled.

        Raises:
            BadDeclaration: there are none, or one of them is neither from ``ctx`` nor a coroutine.
        """
        return self._driver.race(awaitables)

    def first(self, steps: Sequence[Step[Any]], /) -> Step[None]:
        """Go on as soon as one of ``steps`` is done, well or badly. Unlike a race it cancels none of them.

        Raises:
            BadDeclaration: one of them cannot be awaited here.
        """
        return self._driver.first(steps)

    def map(self, function: Callable[[A], Awaitable[B]], items: Iterable[A], *, concurrency: int = 16) -> Step[list[B]]:
        """``function`` for every item, at most ``concurrency`` at once; the results are in the order of the items.

        The first failure cancels the others and is raised.

        Raises:
            BadDeclaration: ``concurrency`` is below 1.
        """
        return self._driver.map(function, list(items), concurrency)

    def apart(self, name: str, coroutine: Coroutine[Any, Any, A]) -> Step[A]:
        """``coroutine`` as a branch of its own, under ``name``: what steps that take several others are made of."""
        return self._driver.branch(name, coroutine)

    def within(self, timeout: Duration, awaitable: Awaitable[A], /) -> Step[A]:
        """What a step (or a coroutine of steps) gives, if it gives it within ``timeout``; else it is cancelled.

        Raises (at once):
            BadDuration, BadDeclaration: ``timeout`` is no duration; the other cannot be awaited here.
        Raises (when awaited):
            TimedOut: it has not ended within ``timeout``; else what it raises.
        """
        return self._driver.within(seconds(timeout), awaitable)
