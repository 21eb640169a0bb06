"""Finds an event loop that is blocked: says so while it lasts, with the stack and whose code it is, and ends the
process when it does not end. A blocked process is deaf, and what it holds goes on elsewhere only when it is gone.

A thread of its own looks whether the loop still turns, and counts its looks instead of seconds: a process that was
stopped for a while (SIGSTOP, a sleeping laptop) is not taken for a blocked one. A loop that plainly rests is seldom
asked to turn, and seldom looked at while nothing is in hand that could block it: both would wake a process for nothing.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import traceback
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Protocol, Self

from trunkline.observe import driving, logs, metrics
from trunkline.observe.driving import Doing

log = logs.get("watchdog")

LOOKS = 6  # until patience is over
AT_REST = 6  # times as long it is to the next look at a loop that rests, with nothing in hand
SELDOM = 6  # looks, after which one that rests is asked all the same: what blocks it may have no frame to be seen
TOLD_AFTER = 0.5  # seconds without a turn after which a block is told
FRAMES = 10
EXIT_STATUS = 70  # EX_SOFTWARE of sysexits.h


class Listener(Protocol):
    """Is told of blocks, in the watchdog's thread: the loop does not turn, so nothing on it can be asked."""

    def found(self, doing: Doing) -> None:
        """The loop has not turned for ``TOLD_AFTER`` seconds, in this code."""

    def ended(self, doing: Doing, seconds: float) -> None:
        """It turns again."""


class InHand:
    """Who holds something that could block the loop, in this process. When somebody comes to, the next look is at once,
    and those that follow are close.
    """

    def __init__(self) -> None:
        self._holders: set[object] = set()
        self._any = threading.Event()

    def __bool__(self) -> bool:
        return self._any.is_set()

    def hold(self, who: object) -> None:
        self._holders.add(who)
        self._any.set()

    def let_go(self, who: object) -> None:
        self._holders.discard(who)
        if not self._holders:
            self._any.clear()

    def wait(self, seconds: float) -> None:
        """Until somebody holds something, or for so long."""
        self._any.wait(seconds)


listeners: list[Listener] = []
in_hand = InHand()


class Watchdog:
    """Watches the running loop from ``with`` to its end. ``bite`` gets the loop's stack as text, after ``patience``
    seconds (by its looks) in which the loop did not turn once. A block of ``told_after`` seconds is told once.
    """

    def __init__(
        self, patience: float, bite: Callable[[str], None] | None = None, *, told_after: float = TOLD_AFTER
    ) -> None:
        self._every = min(patience, 2 * told_after) / LOOKS
        self._patience, self._told_after = patience, told_after
        self._bite = bite or _end
        self._rest: FrameType | None = None
        self._turned = threading.Event()
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self._note_rest)
        self._watched = threading.get_ident()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._rest = None

    def _note_rest(self) -> None:
        """What runs the loop has no Python frames of its own (uvloop): while it rests, its caller's is the newest."""
        self._rest = sys._getframe(1)  # noqa: SLF001 - the documented way to the caller's frame

    def _rests(self) -> bool:
        return self._rest is not None and sys._current_frames().get(self._watched) is self._rest  # noqa: SLF001

    def _watch(self) -> None:
        silent = rested = 0
        told: Doing | None = None
        bite_at, tell_at = (round(one / self._every) for one in (self._patience, self._told_after))
        self._ask()
        while self._goes_on(rested > 0):
            if self._turned.is_set():
                if told is not None:
                    _ended(told, silent * self._every)
                silent, told = 0, None
                rested = rested % SELDOM + 1 if self._rests() else 0
                if rested in (0, SELDOM):
                    self._ask()
                continue
            rested = 0
            silent += 1
            if silent == tell_at:
                told = self._tell()
            if silent == bite_at:
                self._bite(_stack(self._watched))

    def _goes_on(self, rested: bool) -> bool:
        """Whether there is to be another look, when it is time for it."""
        if rested and not in_hand:
            in_hand.wait(self._every * AT_REST)
            return not self._over.is_set()
        return not self._over.wait(self._every)

    def _ask(self) -> None:
        self._turned.clear()
        try:
            self._loop.call_soon_threadsafe(self._turned.set)
        except RuntimeError:  # the loop was closed without leaving the context
            self._over.set()

    def _tell(self) -> Doing:
        doing = driving.current(self._loop) or Doing("", "")
        log.warning("the event loop is blocked", **_fields(doing), stack=_stack(self._watched))
        for listener in listeners:
            _safely(partial(listener.found, doing))
        return doing


def _ended(doing: Doing, seconds: float) -> None:
    metrics.blocked_seconds.labels(kind=doing.kind, name=doing.name).observe(seconds)
    log.warning("the event loop turns again", **_fields(doing), seconds=round(seconds, 1))
    for listener in listeners:
        _safely(partial(listener.ended, doing, seconds))


def _safely(tell: Callable[[], None]) -> None:
    """Whatever a listener meets, the watch goes on."""
    try:
        tell()
    except Exception:
        log.exception("what follows from a blocked loop could not be done")


def _fields(doing: Doing) -> dict[str, str]:
    """What is known of it, as the fields of a log line."""
    known = {doing.kind: doing.name, "instance": doing.instance, "run": doing.run, "step": doing.step}
    return {name: value for name, value in known.items() if name and value}


def _stack(thread: int) -> str:
    frame = sys._current_frames().get(thread)  # noqa: SLF001 - the documented way to another thread's stack
    return "".join(traceback.format_stack(frame)[-FRAMES:]) if frame else ""


def _end(stack: str) -> None:
    log.critical("the event loop is blocked; this process ends so that others can go on", stack=stack)
    os._exit(EXIT_STATUS)
