"""Keeps a duty going: one that raises is logged, counted, and begun again after a growing delay."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NoReturn

from trunkline.domain.errors import Unavailable
from trunkline.engine.rhythm import until_next
from trunkline.observe import logs, metrics

log = logs.get("supervisor")

Duty = Callable[[], Awaitable[object]]

FIRST_DELAY = 0.1  # seconds
LONGEST_DELAY = 2.0


async def keep(name: str, duty: Duty, *, first: float = FIRST_DELAY, longest: float = LONGEST_DELAY) -> NoReturn:
    """Run ``duty`` until cancelled. The delay (seconds) doubles from ``first`` to ``longest``, and starts over after a
    duty that held for longer than ``longest``.
    """
    delay = first
    while True:
        begun = time.monotonic()
        await _once(name, duty)
        if time.monotonic() - begun > longest:
            delay = first
        await rest(delay)
        delay = min(delay * 2, longest)


async def _once(name: str, duty: Duty) -> None:
    try:
        await duty()
    except Unavailable as error:
        log.warning("duty waits", duty=name, reason=str(error))
    except Exception:
        metrics.duty_failures.labels(duty=name).inc()
        log.exception("duty failed and is begun again", duty=name)


async def rest(seconds: float) -> None:
    """Sleep between two looks. A cancellation that was lost on the way here takes effect now: Python 3.11's
    ``wait_for``, which libraries use, forgets one that comes together with what it waits for.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
    await asyncio.sleep(seconds)


async def rest_until_next(period: float) -> None:
    """``rest``, until it is time for what happens every ``period`` seconds."""
    await rest(until_next(period, time.monotonic()))


async def rest_unless(event: asyncio.Event, seconds: float) -> None:
    """``rest``, or less when ``event`` is set."""
    await rest(0)
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def together(duties: dict[str, Duty]) -> None:
    """Keep all of ``duties`` going side by side until cancelled; none of them hurts another."""
    async with asyncio.TaskGroup() as group:
        for name, duty in duties.items():
            group.create_task(keep(name, duty), name=name)
