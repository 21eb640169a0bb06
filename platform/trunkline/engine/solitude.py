"""A handler must not see the asyncio task that drives it: ``asyncio.timeout`` would cancel the worker's own.

With no current task it and its like raise at once, inside the handler. (The two functions used here are asyncio's
documented means for other implementations of tasks.) ``in_handler`` tells code that a handler called that it is so.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, Task
from asyncio.events import _get_running_loop
from asyncio.tasks import _enter_task, _leave_task, current_task
from contextvars import ContextVar, Token
from typing import Any

Outside = tuple[Token[bool], AbstractEventLoop | None, Task[Any] | None]

_inside: ContextVar[bool] = ContextVar("inside", default=False)


def leave() -> Outside:
    """Step out of the current task, if there is one, and into a handler; give the result to ``come_back``."""
    token = _inside.set(True)
    loop = _get_running_loop()
    task = current_task(loop) if loop is not None else None
    if loop is not None and task is not None:
        _leave_task(loop, task)
    return token, loop, task


def come_back(outside: Outside) -> None:
    """Step back into the task that was left."""
    token, loop, task = outside
    _inside.reset(token)
    if loop is not None and task is not None:
        _enter_task(loop, task)


def in_handler() -> bool:
    """Whether the caller is a handler that is being driven, or was called by one."""
    return _inside.get()
