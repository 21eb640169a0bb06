"""Named points at which a test makes a process die, wait or fail, just where it is most awkward.

Driven by ``TRUNKLINE_FAULT`` (``point=crash``, ``point=delay:2``, ``point=fail``; ``@3`` behind it means the third time
that the point is reached; several are separated by commas); free when it is not set. Each point lies between two things
that cannot become true together, and so is a place where a crash must lose nothing.
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
    # the way in
    "event-received",  # the router has an event; nothing is committed
    "mailbox-committed",  # accepted in Postgres; not acknowledged, and nobody was woken
    "event-acknowledged",  # the event is off the bus; nobody was woken
    "instance-erased",  # nothing of it is left in Postgres; nobody was told
    # the lease
    "wake-received",  # a wake came; it is not acknowledged
    "wake-acknowledged",  # the wake is gone; the lease is not taken
    "lease-taken",  # owned; nothing is loaded
    "journal-read",  # its past is here; nothing was done about it
    "lease-released",  # given back; mail that came meanwhile was not woken
    # the append
    "commit-begun",  # appends were gathered; nothing was sent
    "commit-sent",  # a group commit was sent; its answer was not read
    # the dispatch
    "step-scheduled",  # StepScheduled is committed; not published
    "item-published",  # the work item was given to the bus, which may not have it yet
    "run-completed",  # the run's end is committed, and the parent was not woken; or the next incarnation has not begun
    # the permit
    "permit-asked",  # the owner was asked; nothing is recorded
    "permit-recorded",  # StepStarted is committed; no "go" was sent
    "permit-received",  # "go"; nothing was begun
    # the execution
    "item-received",  # a worker has the item; nothing was begun
    "executed",  # the effect took place; no outcome was published
    "outcome-published",  # the outcome is on the bus; the item is not acknowledged
    "item-acknowledged",  # the item is off the bus
    # the answer
    "outcome-received",  # the owner has the outcome; it is not appended
    "outcome-recorded",  # appended; not acknowledged
    "outcome-posted",  # it became another owner's mail; not acknowledged, and nobody was woken
    # the supervisor
    "worker-declared-dead",  # declared; what it held is not free
    "instances-reclaimed",  # free; nobody was woken
    "schedule-accepted",  # runs of due schedules are written; nothing is committed
    "schedules-fired",  # they are committed, and the schedules have moved on; nobody was woken
    "bonds-settled",  # who was bound to ended runs has mail; nobody was woken
    "timers-fired",  # due timers are mail; nobody was woken
    "replies-posted",  # a departed worker's outcomes are mail; they still lie on the bus
    "dead-letter-kept",  # kept in Postgres; the advisory is not acknowledged
    "journal-shortened",  # entries below a snapshot are gone; the rows of their runs are not
]
POINTS: tuple[str, ...] = get_args(Point)


class FaultInjected(TrunklineError):
    """The fault point {point!r} was told to fail."""


@dataclass(slots=True)
class _Fault:
    """``left`` is how often the point is reached until it acts."""

    point: str
    action: str
    seconds: float
    left: int


_armed: dict[str, _Fault] | None = None


def configure(text: str) -> None:
    """Arm the faults that ``text`` (``Settings.fault``) describes; empty disarms.

    Raises:
        BadDeclaration: a point or an action is unknown.
    """
    global _armed  # noqa: PLW0603 - so that a point costs one comparison where nothing is armed
    faults = [_parse(text, part.strip()) for part in text.split(",")] if text else []
    _armed = {fault.point: fault for fault in faults} or None


def point(name: Point) -> None:
    """In synchronous code. A delay blocks the thread."""
    if _armed is not None and (wait := _act(_armed.get(name))):
        time.sleep(wait)


async def reach(name: Point) -> None:
    """In a coroutine. A delay lets others go on."""
    if _armed is not None and (wait := _act(_armed.get(name))):
        await asyncio.sleep(wait)


def _act(fault: _Fault | None) -> float:
    """Crash or fail; or the seconds to wait. A fault that has acted goes on acting."""
    if fault is None:
        return 0.0
    fault.left -= 1
    if fault.left > 0:
        return 0.0
    if fault.action == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault.action == "fail":
        raise FaultInjected(point=fault.point)
    return fault.seconds


def _parse(text: str, part: str) -> _Fault:
    name, _, action = part.partition("=")
    action, _, time_ = action.partition("@")
    verb, _, amount = action.partition(":")
    if name not in POINTS:
        raise _bad(text, f"there is no point {name!r}")
    if time_ and not (time_.isdecimal() and int(time_) > 0):
        raise _bad(text, f"@{time_} is not a number of times")
    left = int(time_ or 1)
    if verb in ("crash", "fail") and not amount:
        return _Fault(name, verb, 0.0, left)
    try:
        seconds = float(amount)
    except ValueError:
        raise _bad(text, f"{action!r} is not an action") from None
    if verb != "delay" or not 0 <= seconds < 3600:
        raise _bad(text, f"{action!r} is not an action")
    return _Fault(name, verb, seconds, left)


def _bad(text: str, reason: str) -> BadDeclaration:
    return BadDeclaration(
        what=f"TRUNKLINE_FAULT={text}",
        reason=reason,
        fix=f"Write POINT=crash, POINT=fail or POINT=delay:SECONDS with one of: {', '.join(POINTS)}.",
    )
