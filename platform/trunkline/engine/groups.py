"""``gather``, ``map`` and ``race``: handles over other handles. They are not journalled; what their branches do is.

A member that fails ends its group: the others are cancelled, and whoever awaits the group gets that failure. Coroutines
become branches with keys of their own; handles are taken as they are, and belong to the group from then on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from inspect import iscoroutine
from typing import Any

from trunkline.domain.errors import BadDeclaration, TimedOut
from trunkline.engine.branch import Branch
from trunkline.engine.branches import Group, Loop
from trunkline.engine.step import Step


class Gather(Group[tuple[Any, ...]]):
    """Done when all members are; the values are in their order."""

    __slots__ = ("left",)

    def __init__(self, loop: Loop, key: str, members: Sequence[Awaitable[Any]], parent: Branch) -> None:
        super().__init__(loop, key)
        self.left = len(members)
        if members:
            self.hold(as_handles(loop, key, members, parent))
        else:
            loop.settle(self)

    def member_done(self, member: Step[Any]) -> None:
        if member.error is not None:
            self.fail(member)
            return
        self.left -= 1
        if not self.left:
            self.loop.settle(self)

    def _value(self) -> tuple[Any, ...]:
        return tuple(member.result() for member in self.members)


class Race(Group[Any]):
    """Done when the first member is, well or badly; the others are cancelled. ``winner`` is its place among them."""

    __slots__ = ("winner",)

    def __init__(self, loop: Loop, key: str, members: Sequence[Awaitable[Any]], parent: Branch) -> None:
        super().__init__(loop, key)
        self.winner = -1
        self.hold(as_handles(loop, key, members, parent))

    def member_done(self, member: Step[Any]) -> None:
        self.winner = next(place for place, one in enumerate(self.members) if one is member)
        if member.error is not None:
            self.error = member
        self.loop.settle(self)
        self.loop.cancel(self.members)

    def _value(self) -> Any:
        return self.members[self.winner].result()


class First(Group[None]):
    """Done when the first member is, well or badly; unlike a race it leaves the others to go on."""

    __slots__ = ()

    def __init__(self, loop: Loop, key: str, members: Sequence[Step[Any]]) -> None:
        super().__init__(loop, key)
        self.hold(list(members))

    def member_done(self, member: Step[Any]) -> None:  # noqa: ARG002 — that there is one is all that counts
        for other in self.members:  # a member that goes on for long must not remember each of these
            if other.waiter is self:
                other.waiter = None
            elif type(other.waiter) is list and self in other.waiter:
                other.waiter.remove(self)
        self.loop.settle(self)

    def _value(self) -> None:
        return None


class Within(Race):
    """A race of one member against a timer of ``limit`` seconds, which raises ``TimedOut`` if it wins."""

    __slots__ = ("limit",)

    def __init__(
        self, loop: Loop, key: str, member: Awaitable[Any], timer: Step[None], *, limit: float, parent: Branch
    ) -> None:
        self.limit = limit
        super().__init__(loop, key, (member, timer), parent)

    def member_done(self, member: Step[Any]) -> None:
        if member is self.members[-1]:
            message = f"nothing came within {self.limit:g} s"
            self.error = TimedOut(key=self.members[0].key, type="TimedOut", message=message)
        super().member_done(member)


class Map(Group[list[Any]]):
    """One branch for each item, at most ``width`` of them at a time; the values are in the items' order."""

    __slots__ = ("apply", "items", "left", "parent")

    def __init__(
        self,
        loop: Loop,
        key: str,
        apply: Callable[[Any], Awaitable[Any]],
        items: Sequence[Any],
        *,
        width: int,
        parent: Branch,
    ) -> None:
        super().__init__(loop, key)
        self.apply, self.items, self.parent, self.left = apply, items, parent, len(items)
        for _ in range(min(width, len(items))):
            self._open_next()
        if not items:
            loop.settle(self)

    def member_done(self, member: Step[Any]) -> None:
        if member.error is not None:
            self.fail(member)
            return
        self.left -= 1
        if len(self.members) < len(self.items):
            self._open_next()
        elif not self.left:
            self.loop.settle(self)

    def _open_next(self) -> None:
        self.loop.count(1)
        place = len(self.members)
        branch = self.loop.open(f"{self.key}.{place}/", _applied(self.apply, self.items[place]), self.parent)
        self.members.append(branch)
        self.loop.watch(branch, self)

    def _value(self) -> list[Any]:
        return [member.result() for member in self.members]


def as_handles(loop: Loop, key: str, members: Sequence[Any], parent: Branch) -> list[Step[Any]]:
    """``members`` as handles: each coroutine becomes a branch, named by its place."""
    return [
        member if isinstance(member, Step) else loop.open(f"{key}.{place}/", member, parent)
        for place, member in enumerate(members)
    ]


def check_members(name: str, members: Iterable[Any]) -> None:
    """Every member must be a handle or a coroutine.

    Raises:
        BadDeclaration: one is something else.
    """
    for member in members:
        if not isinstance(member, Step) and not iscoroutine(member):
            what, reason = f"{type(member).__name__} in ctx.{name}", "it cannot be awaited there"
            raise BadDeclaration(what=what, reason=reason, fix="Pass what ctx methods return, or coroutines.")


def discard(members: Iterable[Any]) -> None:
    """Close coroutines that will never run."""
    for member in members:
        if iscoroutine(member):
            member.close()


async def _applied(apply: Callable[[Any], Awaitable[Any]], item: Any) -> Any:
    return await apply(item)
