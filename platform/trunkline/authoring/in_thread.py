"""Calling a synchronous function of a user's from the event loop: in a thread, with the caller's context."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import copy_context
from typing import Any


async def in_thread(call: Callable[[], Any], what: str, executor: Executor | None = None) -> Any:
    """What ``call`` returns, in a thread of ``executor`` (the loop's own if it is ``None``).

    Raises:
        RuntimeError: it raised ``StopIteration``; ``what`` names it. (So does a coroutine: no future takes that error,
            and whoever awaits it would wait for ever.)
        Exception: whatever else it raises.
    """

    def called() -> Any:
        try:
            return call()
        except StopIteration as error:
            raise RuntimeError(f"{what} raised StopIteration") from error

    return await asyncio.get_running_loop().run_in_executor(executor, copy_context().run, called)
