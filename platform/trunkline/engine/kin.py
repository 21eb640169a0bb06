"""What goes with a branch that is closed: its children, and the steps that they asked for.

Each branch knows its own, so that nobody looks through all branches and all open steps to find them: a run may have
thousands, and close a few at a time, over and over (a race in each branch of a wide ``map``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trunkline.engine.branch import Branch
    from trunkline.engine.step import Recorded


class Kin:
    """Of one branch: its ``place`` among all that was opened and asked for, its parent's kin, its children under way,
    and its open steps with their places. The main branch has none: it is closed with everything.
    """

    __slots__ = ("asked", "children", "parent", "place")

    def __init__(self, place: int, parent: Kin | None) -> None:
        self.place = place
        self.parent = parent
        self.children: dict[Branch, None] | None = None
        self.asked: dict[Recorded[Any], int] = {}


def born(branch: Branch, place: int, parent: Kin | None) -> None:
    """``branch`` is opened, by the one with the kin ``parent``."""
    branch.kin = Kin(place, parent)
    if parent is not None:
        if parent.children is None:
            parent.children = {}
        parent.children[branch] = None


def over(branch: Branch) -> None:
    """``branch`` has ended, or was closed."""
    parent = branch.kin.parent if branch.kin is not None else None
    if parent is not None and parent.children is not None:
        parent.children.pop(branch, None)


def closing(losers: Iterable[Branch], under_way: Mapping[Branch, None]) -> list[Branch]:
    """Those of ``losers`` that are under way and all that they opened, the youngest first."""
    found: dict[Branch, int] = {}
    rest = [branch for branch in losers if branch in under_way]
    while rest:
        branch = rest.pop()
        if branch.kin is not None and branch not in found:
            found[branch] = branch.kin.place
            rest += branch.kin.children or ()
    return sorted(found, key=found.__getitem__, reverse=True)


def asked_by(branches: Iterable[Branch]) -> list[Recorded[Any]]:
    """The open steps of ``branches``, in the order in which they were asked for."""
    asked = [one for branch in branches if branch.kin is not None for one in branch.kin.asked.items()]
    return [step for step, _ in sorted(asked, key=itemgetter(1))]
