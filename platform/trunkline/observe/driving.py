"""Whose code the event loop is in just now: what a watchdog names when the loop no longer turns.

Code that is called (a handler's turn) is noted in ``now``; code that has a task of its own (a local step, a tool) by
its task. Both are read from another thread, and neither is more than a hint.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from weakref import WeakKeyDictionary


@dataclass(slots=True)
class Doing:
    """``kind`` is ``agent``, ``tool`` or ``llm``; ``name`` the declared name; the rest is empty where there is none."""

    kind: str
    name: str
    instance: str = ""
    run: str = ""
    step: str = ""


now: Doing | None = None
_tasks: WeakKeyDictionary[asyncio.Task[object], Doing] = WeakKeyDictionary()


def note(task: asyncio.Task[object], doing: Doing) -> None:
    """Whatever ``task`` runs, it does for ``doing``."""
    _tasks[task] = doing


def current(loop: asyncio.AbstractEventLoop) -> Doing | None:
    """What ``loop`` is in, as far as it is known. To be called from any thread."""
    if now is not None:
        return now
    task = asyncio.current_task(loop)
    return None if task is None else _tasks.get(task)
