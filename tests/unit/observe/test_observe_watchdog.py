"""The watchdog bites when the loop does not turn, and only then."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

from trunkline.observe.watchdog import EXIT_STATUS, Watchdog

BLOCKED = """
import asyncio, threading
from trunkline.observe import logs
from trunkline.observe.watchdog import Watchdog

logs.configure("info", "json")

async def block_for_ever():
    with Watchdog(0.2):
        threading.Event().wait()

asyncio.run(block_for_ever())
"""


def test_a_process_whose_loop_is_blocked_ends_and_tells_where() -> None:
    done = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == EXIT_STATUS
    assert "block_for_ever" in done.stdout + done.stderr


async def test_it_bites_once_and_a_loop_that_turns_is_left_alone() -> None:
    bitten = threading.Semaphore(0)
    with Watchdog(0.1, lambda _: bitten.release()):
        await asyncio.get_running_loop().run_in_executor(None, lambda: bitten.acquire(timeout=0.5))
        assert not bitten.acquire(blocking=False), "the loop turned all the time"
        assert bitten.acquire(timeout=10), "the loop stands still here"
        assert not bitten.acquire(timeout=0.3)
