"""Whose code the event loop is in just now: what a watchdog names when the loop no longer turns.

Code that is called (a handler's turn) is noted by ``with`` whoever calls it; code that has a task of its own (a local
step, a tool) by its task. Both are read from another thread, and neither is more than a hint.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")


@dataclass(slots=True)
class Doing:
    """``kind`` is ``agent``, ``tool`` or ``llm``; ``name`` the declared name; the rest is empty where there is none."""

    kind: str
    name: str
    instance: str = ""
    run: str = ""
    step: str = ""


class Driving:
    """Whoever calls others' code says so: ``with`` it, the loop is in that code."""

    __slots__ = ()

    def doing(self) -> Doing:
        """What that code does just now; asked from another thread, and only when somebody wants to know."""
        raise NotImplementedError

    def __enter__(self) -> None:
        """It must not be left open across an ``await``."""
        _driving.append(self)

    def __exit__(self, *_: object) -> None:
        _driving.pop()


_driving: list[Driving] = []  # the innermost last
_tasks: WeakKeyDictionary[asyncio.Task[Any], Callable[[], Doing | None]] = WeakKeyDictionary()


def note(task: asyncio.Task[T], doing: Callable[[], Doing | None]) -> asyncio.Task[T]:
    """Whatever ``task`` runs, it does for what ``doing`` says when it is asked."""
    _tasks[task] = doing
    return task


def current(loop: asyncio.AbstractEventLoop) -> Doing | None:
    """What ``loop`` is in, as far as it is known. To be called from any thread."""
    for innermost in _driving[-1:]:
        return innermost.doing()
    task = asyncio.current_task(loop)
    said = None if task is None else _tasks.get(task)
    return None if said is None else said()
