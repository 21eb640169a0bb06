"""Branches and groups: the part of ``RunDriver`` that opens them, and that knows who calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from trunkline.domain.errors import BadDeclaration
from trunkline.engine.branches import Branch, Loop
from trunkline.engine.groups import First, Gather, Map, Race, Within, check_members, discard
from trunkline.engine.step import Step

T = TypeVar("T")


class Joining:
    """Needs the driver's loop, and what it does with calls that cannot be served."""

    __slots__ = ()

    _loop: Loop

    def gather(self, members: Sequence[Awaitable[Any]]) -> Step[tuple[Any, ...]]:
        """All values, in order. The first failure (in journal order) cancels the other members, and is raised."""
        branch, key = self._group("gather", members)
        return Gather(self._loop, key, members, branch)

    def map(
        self, apply: Callable[[Any], Awaitable[Any]], items: Sequence[Any], concurrency: int | None = None
    ) -> Step[list[Any]]:
        """``apply(item)`` for each item in a branch of its own, ``concurrency`` of them at a time; fails as gather."""
        if concurrency is not None and concurrency < 1:
            raise BadDeclaration(what="ctx.map", reason="concurrency is below 1", fix="Pass concurrency=1 or more.")
        branch, key = self._group("map", ())
        return Map(self._loop, key, apply, items, width=concurrency or len(items), parent=branch)

    def race(self, members: Sequence[Awaitable[Any]]) -> Race:
        """What the first member that is done gives or raises; the others are cancelled. ``winner`` is its place."""
        if not members:
            raise BadDeclaration(what="ctx.race", reason="it has nothing to race", fix="Pass at least one step.")
        branch, key = self._group("race", members)
        return Race(self._loop, key, members, branch)

    def first(self, members: Sequence[Step[Any]]) -> Step[None]:
        """Done as soon as one of ``members`` is; the others go on."""
        return First(self._loop, self._group("first", members)[1], members)

    def within(self, limit: float, member: Awaitable[T]) -> Step[T]:
        """What ``member`` gives or raises, or ``TimedOut`` after ``limit`` seconds; then it is cancelled."""
        branch, key = self._group("within", (member,))
        timer: Step[None] = self.schedule("sleep", "timeout", options={"delay": limit})
        return Within(self._loop, key, member, timer, limit=limit, parent=branch)

    def branch(self, name: str, coroutine: Coroutine[Any, Any, T]) -> Step[T]:
        """``coroutine`` as a branch of its own; the keys of its steps begin with ``name`` and its occurrence."""
        parent, key = self._group(name, (coroutine,))
        return self._loop.open(f"{key}/", coroutine, parent)

    def check_main(self, what: str) -> None:
        """``what`` is for the handler's own coroutine alone.

        Raises:
            BadDeclaration: it is called in a branch.
            ContextClosed, NotDurable: as ``schedule``.
        """
        branch = self._loop.current
        if branch is None or branch.closing:
            branch = self._refuse()
        if branch is not self._loop.main:
            fix = "Call it in the handler itself, when what is under way there has ended"
            raise BadDeclaration(what=what, reason="it is called in a gather, map, race or within", fix=fix)

    def schedule(
        self,
        kind: str,
        name: str,
        args: Any = None,
        *,
        options: dict[str, Any] | None = None,
        key: str | None = None,
        decode: Callable[[Any], T] | None = None,
        payload: Any = None,
    ) -> Step[T]:
        """Ask for a step; as the driver does it."""
        raise NotImplementedError

    def _refuse(self) -> Branch:
        raise NotImplementedError

    def _group(self, name: str, members: Sequence[Any]) -> tuple[Branch, str]:
        try:
            branch = self._loop.current
            if branch is None or branch.closing:
                branch = self._refuse()
            check_members(name, members)
            self._loop.spend(len(members) + 1)
            return branch, branch.group_key(name)
        except BaseException:
            discard(members)
            raise
