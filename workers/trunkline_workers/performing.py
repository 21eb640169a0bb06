"""Carrying an item out within its time: how its work is begun, limited and stopped, and what it came to."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from functools import cache, partial
from typing import Any

from trunkline.domain.status import Effect
from trunkline.observe import driving, logs, metrics
from trunkline.observe.driving import Doing
from trunkline_workers.cancel import Cancellations
from trunkline_workers.execution import Execution, HandBack, Result, Station, Stop
from trunkline_workers.failures import failure

log = logs.get("workers")

GRACE = 1.0  # seconds for work to end after it was told to


async def perform(station: Station, execution: Execution, cancellations: Cancellations) -> Result:
    """Have ``station`` carry it out within the item's timeout; what does not end when it is told to goes on by itself.

    Raises:
        HandBack: it was stopped because this process ends.
    """
    item = execution.item
    execution.began_at = time.monotonic()
    work = execution.work = asyncio.create_task(station.perform(execution))
    driving.note(work, lambda: Doing(station.kind, station.name, run=item.run, step=item.step))
    if station.interruptible and item.effect is not Effect.UNSAFE:  # whose outcome must become known
        cancellations.add(execution)
    try:
        await _ended(work, item.timeout)
        if not work.done() and _must_end_itself(station, execution):
            log.error("outlasts its timeout", kind=station.kind, name=item.name, run=item.run)
            await asyncio.wait({work})
        if not work.done():
            execution.stop(Stop.TIMED_OUT)
            await _ended(work, GRACE)
    finally:
        cancellations.discard(execution)
        if not work.done():
            _let_stray(station, execution, work)
        _seconds(station.kind).observe(time.monotonic() - execution.began_at)
    return _result(execution, work)


async def _ended(work: asyncio.Task[Result], seconds: float) -> None:
    """Wait until ``work`` is done, for so long at most. Every item does; ``asyncio.wait`` takes thrice the time."""
    loop = asyncio.get_running_loop()
    over = loop.create_future()

    def release(_: object = None) -> None:
        if not over.done():
            over.set_result(None)

    work.add_done_callback(release)
    timer = loop.call_later(seconds, release)
    try:
        await over
    finally:
        timer.cancel()
        work.remove_done_callback(release)


def _result(execution: Execution, work: asyncio.Task[Result]) -> Result:
    """What the work came to. A result that was there when it was stopped counts."""
    if work.done() and not work.cancelled():
        return work.result()
    if execution.stopped is Stop.DRAINED:
        raise HandBack("this worker ends")
    if execution.stopped is Stop.CANCELLED:
        return Result(error=failure("Cancelled", "nobody waits for it any more", retryable=False))
    item = execution.item
    unsafe = item.effect is Effect.UNSAFE
    message = f"{item.name} gave no result within {item.timeout:g} s"
    error = failure("TimedOut", message, retryable=not unsafe)
    return Result(error={**error, "unknown": True} if unsafe else error)


def _must_end_itself(station: Station, execution: Execution) -> bool:
    """A thread cannot be stopped. That of an unsafe call is waited for: while it goes on, nobody may say what became of
    it, and its probe is not asked here. Its owner has a clock of its own.
    """
    return execution.item.effect is Effect.UNSAFE and not station.interruptible and not execution.item.probe


def _let_stray(station: Station, execution: Execution, work: asyncio.Task[Result]) -> None:
    """The work did not end when it was told to. It goes on by itself, and counts against the station."""
    work.cancel()
    log.error("does not end", kind=station.kind, name=execution.item.name, run=execution.item.run)
    station.strays.add(work)
    work.add_done_callback(partial(_returned, station.strays))


def _returned(strays: set[asyncio.Task[Result]], work: asyncio.Task[Result]) -> None:
    strays.discard(work)
    with suppress(BaseException):
        work.result()


@cache
def _seconds(kind: str) -> Any:
    return metrics.execution_seconds.labels(kind=kind)
