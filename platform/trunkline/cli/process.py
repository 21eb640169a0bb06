"""Runs one service as a process: its loop, its logs, and what signals do to it.

SIGTERM, SIGINT, and the SIGHUP of a closed terminal ask it to stop (it drains); a second one ends it at once. A server
that is away at the start is waited for by the service itself, which says so in one line.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from trunkline.cli.failures import FAILED, OK, deliberate, exit_code, one_line
from trunkline.observe import faults, logs
from trunkline.observe.watchdog import Watchdog
from trunkline.settings import Settings

log = logs.get("process")

Service = Callable[[asyncio.Event], Coroutine[Any, Any, None]]

# Suspended coroutines are many, and live long: looking at them again and again cost a third of an agent worker's time.
GC_THRESHOLDS = 20_000, 20, 100
GRACE = 10.0  # seconds beyond ``Settings.drain`` after which a service that does not stop is ended


LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def fastest_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where it runs (it carries about a sixth more messages); it starts no process in a group of ours."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def run(service: Service, settings: Settings, *, loop_factory: LoopFactory = fastest_loop) -> int:
    """Run ``service(stop)`` until it ends; the process's exit status.

    Raises:
        TrunklineError: logs or fault points are configured wrongly.
    """
    prepare(settings)
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(_watched(service, settings))
    except Exception as error:
        if deliberate(error) is None:
            log.exception("ended by an unexpected error")
        else:
            log.error(one_line(error))  # noqa: TRY400 - the message says it all
        return exit_code(deliberate(error) or error)


def prepare(settings: Settings) -> None:
    """Configure what a process writes, and the faults that a test asked for."""
    logs.configure(settings.log_level, settings.log_format)
    faults.configure(settings.fault)


async def _watched(service: Service, settings: Settings) -> int:
    gc.freeze()  # what was imported stays
    gc.set_threshold(*GC_THRESHOLDS)
    with Watchdog(settings.blocked_after):
        return await _until_stopped(service, settings)


async def _until_stopped(service: Service, settings: Settings) -> int:
    stop = asyncio.Event()
    for number in asking_to_stop():
        asyncio.get_running_loop().add_signal_handler(number, partial(_on_signal, number, stop))
    await asyncio.sleep(0)  # where a Ctrl-C that came before ends it: nothing has begun that would have to be stopped
    serving = asyncio.create_task(service(stop))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    await asyncio.wait({serving}, timeout=settings.drain + GRACE)
    if not serving.done():
        log.error("did not stop in time", seconds=settings.drain + GRACE)
        os._exit(FAILED)
    await serving
    if not stop.is_set():
        log.error("ended without being asked to")
        return FAILED
    return OK


def asking_to_stop() -> list[signal.Signals]:
    """The signals that ask a process to end. Who ignores SIGHUP, as ``nohup`` does, goes on ignoring it."""
    hangup = [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL else []
    return [signal.SIGTERM, signal.SIGINT, *hangup]


def _on_signal(number: signal.Signals, stop: asyncio.Event) -> None:
    if stop.is_set():
        os._exit(128 + number)
    stop.set()
    log.info("stopping", signal=number.name)
