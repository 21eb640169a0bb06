"""A handler must not see the asyncio task that drives it: ``asyncio.timeout`` would cancel the worker's own.

With no current task they raise at once, inside the handler. (These two functions are asyncio's documented means for
task implementations of others.) ``HANDLER`` tells code that is called from a handler that it is.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, Task
from asyncio.events import _get_running_loop
from asyncio.tasks import _enter_task, _leave_task, current_task
from contextvars import ContextVar
from typing import Any

HANDLER: ContextVar[str] = ContextVar("HANDLER", default="")  # the agent whose handler runs now, if one does

Outside = tuple[AbstractEventLoop, Task[Any]] | None


def leave() -> Outside:
    """Step out of the current task, if there is one; give the result to ``come_back``."""
    loop = _get_running_loop()
    task = current_task(loop) if loop is not None else None
    if loop is None or task is None:
        return None
    _leave_task(loop, task)
    return loop, task


def come_back(outside: Outside) -> None:
    """Step back into the task that was left."""
    if outside is not None:
        _enter_task(*outside)
