"""Whose code the event loop is in just now: what a watchdog names when the loop no longer turns.

Code that is called (a handler's turn) is noted by ``with doing:``; code that has a task of its own (a local step,
a tool) by its task. Both are read from another thread, and neither is more than a hint.
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

    def __enter__(self) -> None:
        """The loop is in this code now. It must not be left open across an ``await``."""
        _driven.append(self)

    def __exit__(self, *_: object) -> None:
        _driven.pop()


_driven: list[Doing] = []  # the innermost last
_tasks: WeakKeyDictionary[asyncio.Task[Any], Callable[[], Doing | None]] = WeakKeyDictionary()


def note(task: asyncio.Task[T], doing: Callable[[], Doing | None]) -> asyncio.Task[T]:
    """Whatever ``task`` runs, it does for what ``doing`` says when it is asked."""
    _tasks[task] = doing
    return task


def current(loop: asyncio.AbstractEventLoop) -> Doing | None:
    """What ``loop`` is in, as far as it is known. To be called from any thread."""
    for doing in _driven[-1:]:
        return doing
    task = asyncio.current_task(loop)
    said = None if task is None else _tasks.get(task)
    return None if said is None else said()
