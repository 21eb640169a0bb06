"""Ends a process whose event loop is blocked: it is deaf, and what it holds goes on elsewhere only when it is gone.

A thread of its own looks whether the loop still turns, and counts its looks instead of seconds: a process that was
stopped for a while (SIGSTOP, a sleeping laptop) is not taken for a blocked one.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Self

from trunkline.observe import logs

log = logs.get("watchdog")

LOOKS = 10
EXIT_STATUS = 70  # EX_SOFTWARE of sysexits.h


class Watchdog:
    """Watches the running loop from ``with`` to its end. ``bite`` gets the loop's stack as text, after ``patience``
    seconds (by its looks) in which the loop did not turn once.
    """

    def __init__(self, patience: float, bite: Callable[[str], None] | None = None) -> None:
        self._every = patience / LOOKS
        self._bite = bite or _end
        self._turned = threading.Event()
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _watch(self) -> None:
        silent = 0
        self._ask()
        while not self._over.wait(self._every):
            if self._turned.is_set():
                silent = 0
                self._ask()
            else:
                silent += 1
            if silent == LOOKS:
                self._bite(_stack(self._watched))

    def _ask(self) -> None:
        self._turned.clear()
        try:
            self._loop.call_soon_threadsafe(self._turned.set)
        except RuntimeError:  # the loop was closed without leaving the context
            self._over.set()


def _stack(thread: int) -> str:
    frame = sys._current_frames().get(thread)  # noqa: SLF001 - the documented way to another thread's stack
    return "".join(traceback.format_stack(frame)[-LOOKS:]) if frame else ""


def _end(stack: str) -> None:
    log.critical("the event loop is blocked; this process ends so that others can go on", stack=stack)
    os._exit(EXIT_STATUS)
