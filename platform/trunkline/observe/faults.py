"""Named points at which a test makes a process die, wait or fail, just where it is most awkward.

Driven by ``TRUNKLINE_FAULT`` (``point=crash``, ``point=delay:2``, ``point=fail``); free when it is not set. Each point
lies between two things that cannot become true together, and so is a place where a crash must lose nothing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import dataclass
from typing import Literal, get_args

from trunkline.domain.errors import BadDeclaration, TrunklineError

Point = Literal[
    "mailbox-committed",  # accepted in Postgres; nobody was woken
    "lease-taken",  # owned; nothing appended
    "step-scheduled",  # StepScheduled is committed; not published
    "item-published",  # the work item is on the bus; not executed
    "permit-recorded",  # StepStarted is committed; no "go" was sent
    "executed",  # the effect took place; no outcome was published
    "outcome-published",  # the outcome is on the bus; the item is not acknowledged
    "outcome-received",  # the owner has the outcome; it is not appended
    "commit-sent",  # a group commit was sent; its answer was not read
    "run-completed",  # the run's end is committed; the parent was not woken
]
POINTS: tuple[str, ...] = get_args(Point)


class FaultInjected(TrunklineError):
    """The fault point {point!r} was told to fail."""


@dataclass(frozen=True, slots=True)
class _Fault:
    point: str
    action: str
    seconds: float


_active: _Fault | None = None


def configure(text: str) -> None:
    """Arm the fault that ``text`` (``Settings.fault``) describes; empty disarms.

    Raises:
        BadDeclaration: the point or the action is unknown.
    """
    global _active  # noqa: PLW0603 - one fault a process, so that a point costs one comparison
    _active = _parse(text) if text else None


def point(name: Point) -> None:
    """In synchronous code. A delay blocks the thread."""
    if _active is not None and _active.point == name and (wait := _act(_active)):
        time.sleep(wait)


async def reach(name: Point) -> None:
    """In a coroutine. A delay lets others go on."""
    if _active is not None and _active.point == name and (wait := _act(_active)):
        await asyncio.sleep(wait)


def _act(fault: _Fault) -> float:
    """Crash or fail; or the seconds to wait."""
    if fault.action == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault.action == "fail":
        raise FaultInjected(point=fault.point)
    return fault.seconds


def _parse(text: str) -> _Fault:
    name, _, action = text.partition("=")
    verb, _, amount = action.partition(":")
    if name not in POINTS:
        raise _bad(text, f"there is no point {name!r}")
    if verb in ("crash", "fail") and not amount:
        return _Fault(name, verb, 0.0)
    try:
        seconds = float(amount)
    except ValueError:
        raise _bad(text, f"{action!r} is not an action") from None
    if verb != "delay" or not 0 <= seconds < 3600:
        raise _bad(text, f"{action!r} is not an action")
    return _Fault(name, verb, seconds)


def _bad(text: str, reason: str) -> BadDeclaration:
    return BadDeclaration(
        what=f"TRUNKLINE_FAULT={text}",
        reason=reason,
        fix=f"Write POINT=crash, POINT=fail or POINT=delay:SECONDS with one of: {', '.join(POINTS)}.",
    )
