"""The watchdog bites when the loop does not turn, and only then."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from trunkline.observe import driving, metrics, watchdog
from trunkline.observe.driving import Doing, Driving
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


BLOCKED_WITHOUT_A_FRAME = """
import asyncio, time, uvloop
from trunkline.observe.watchdog import Watchdog

async def block():
    with Watchdog(0.2):
        await asyncio.sleep(0.3)
        asyncio.get_running_loop().call_soon(time.sleep, 50)
        await asyncio.sleep(60)

uvloop.run(block())
"""

ASKED = """
import asyncio, uvloop
from trunkline.observe import watchdog

async def rest(looks):
    asked = 0
    ask = watchdog.Watchdog._ask

    def counted(self):
        nonlocal asked
        asked += 1
        ask(self)

    watchdog.Watchdog._ask = counted
    with watchdog.Watchdog(100, told_after=0.05):
        await asyncio.sleep(0.02 * looks)
    return asked

print(uvloop.run(rest(50)))
"""


def test_what_is_blocked_by_no_code_of_pythons_ends_too() -> None:
    code = [sys.executable, "-c", BLOCKED_WITHOUT_A_FRAME]
    assert subprocess.run(code, capture_output=True, timeout=60, check=False).returncode == EXIT_STATUS


def test_a_loop_that_rests_is_seldom_asked_to_turn() -> None:
    done = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, timeout=60, check=True)
    assert 1 < int(done.stdout) < 10, "of about twenty looks"


TOLD_IN_TIME = """
import asyncio, threading, uvloop
from trunkline.observe import watchdog

told, resting = threading.Event(), threading.Event()
goes_on = watchdog.Watchdog._goes_on

def noted(self, rested):
    if rested:
        resting.set()
    return goes_on(self, rested)

class Listening:
    def found(self, doing):
        told.set()

    def ended(self, doing, seconds): ...

async def hold_and_block():
    watchdog.AT_REST = 1_000_000
    watchdog.Watchdog._goes_on = noted
    watchdog.listeners.append(Listening())
    with watchdog.Watchdog(100, told_after=0.1):
        await asyncio.to_thread(resting.wait)
        watchdog.in_hand.hold("somebody")
        return told.wait(30)

print(uvloop.run(hold_and_block()))
"""


def test_who_comes_to_hold_something_is_watched_closely_from_that_moment_on() -> None:
    code = [sys.executable, "-c", TOLD_IN_TIME]
    done = subprocess.run(code, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["True"], "it was at rest, and would have looked again in hours"


def test_while_anything_is_in_hand_it_looks_closely_and_else_seldom_at_a_loop_that_rests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seldom: list[float] = []
    closely: list[float] = []
    in_hand = watchdog.InHand()
    monkeypatch.setattr(in_hand, "wait", seldom.append)
    monkeypatch.setattr(watchdog, "in_hand", in_hand)
    one = Watchdog(60, lambda _: None, told_after=0.6)
    monkeypatch.setattr(one._over, "wait", lambda seconds: closely.append(seconds) is not None)
    assert one._goes_on(False)
    assert one._goes_on(True)
    in_hand.hold("a")
    in_hand.hold("b")
    in_hand.let_go("a")
    assert one._goes_on(True)
    in_hand.let_go("b")
    in_hand.let_go("c")
    assert one._goes_on(True)
    assert closely == pytest.approx([0.2, 0.2])
    assert seldom == pytest.approx([0.2 * watchdog.AT_REST] * 2)
    one._over.set()
    assert not one._goes_on(True)


async def test_it_bites_once_and_a_loop_that_turns_is_left_alone() -> None:
    bitten = threading.Semaphore(0)
    with Watchdog(0.1, lambda _: bitten.release()):
        await asyncio.get_running_loop().run_in_executor(None, lambda: bitten.acquire(timeout=0.5))
        assert not bitten.acquire(blocking=False), "the loop turned all the time"
        assert bitten.acquire(timeout=10), "the loop stands still here"
        assert not bitten.acquire(timeout=0.3)


async def test_a_block_is_told_once_while_it_lasts_with_whose_code_it_is_and_measured(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[tuple[str, Doing]] = []
    told, over = threading.Event(), threading.Event()

    class Listening:
        def found(self, doing: Doing) -> None:
            heard.append(("found", doing))
            told.set()

        def ended(self, doing: Doing, seconds: float) -> None:
            heard.append(("ended", doing))
            assert seconds >= 0.1
            over.set()
            raise ValueError("a listener's fault is its own")

    class Blocking(Driving):
        def doing(self) -> Doing:
            return doing

    doing = Doing("agent", "blocker", "i-1", "r-1")
    listener = Listening()
    watchdog.listeners.append(listener)
    try:
        with Watchdog(60, told_after=0.1), caplog.at_level("WARNING"):
            with Blocking():
                assert told.wait(10), "it is told while the loop stands still"
            assert await asyncio.to_thread(over.wait, 10)
    finally:
        watchdog.listeners.remove(listener)
    assert heard == [("found", doing), ("ended", doing)]
    [line] = [record for record in caplog.records if record.getMessage() == "the event loop is blocked"]
    fields = line.__dict__["trunkline_fields"]
    assert (fields["agent"], fields["instance"], fields["run"]) == ("blocker", "i-1", "r-1")
    assert "told.wait" in fields["stack"]
    measured = metrics.REGISTRY.get_sample_value(
        "trunkline_blocked_seconds_count", {"kind": "agent", "name": "blocker"}
    )
    assert measured == 1


async def test_a_task_is_known_by_what_it_was_noted_for() -> None:
    seen: list[Doing | None] = []
    loop = asyncio.get_running_loop()

    async def work() -> None:
        thread = threading.Thread(target=lambda: seen.append(driving.current(loop)))
        thread.start()
        thread.join()  # the loop stands still meanwhile

    doing = Doing("tool", "crunch", run="r", step="s")
    await driving.note(asyncio.create_task(work()), lambda: doing)
    await asyncio.create_task(work())
    assert seen == [doing, None]
