"""The load of every contender: levels one after the other, and what counts at each."""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from benchmarks.contenders import load
from benchmarks.contenders.counting import COUNTED_IN
from benchmarks.contenders.load import Asked, Lanes, Run, drive


def asked(*in_flight: int, **more: float) -> Asked:
    times = {"seconds": 0.05, "warm_up": 0.05, "patience": 5.0, **more}
    return Asked("local", list(in_flight), **times, directory="", variant="", postgres="", nats="", model="")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """What the load tells the harness; it does not wait to be killed."""
    lines: list[dict[str, Any]] = []
    monkeypatch.setenv(COUNTED_IN, str(tmp_path))
    monkeypatch.setattr(signal, "pause", lambda: None)
    monkeypatch.setattr(load, "tell", lambda word, **more: lines.append(json.loads(json.dumps({word: more}))))
    return lines


async def driven(run: Run, wanted: Asked, count: Callable[[], int]) -> None:
    before = asyncio.all_tasks()
    await drive(wanted, run, {"agents": os.getpid()}, {}, count=count)
    lanes = asyncio.all_tasks() - before
    for lane in lanes:
        lane.cancel()
    await asyncio.gather(*lanes, return_exceptions=True)


async def test_quick_runs_are_measured_once_they_are_warm(said: list[dict[str, Any]]) -> None:
    done = 0

    async def run(_number: int) -> None:
        nonlocal done
        done += 10
        await asyncio.sleep(0)

    await driven(run, asked(1, 3), lambda: done)
    assert [next(iter(line)) for line in said] == ["begin", "begin", "end"] * 2
    for line in said[2], said[5]:
        assert line["end"]["steps"] >= 10 * line["end"]["runs"] - 30
        assert line["end"]["runs"] >= load.ENOUGH
        assert 0 <= line["end"]["p50_ms"] <= line["end"]["p99_ms"]


async def test_of_long_runs_one_is_counted_from_its_beginning_to_its_end_in_each_lane(
    said: list[dict[str, Any]],
) -> None:
    begun = 0

    async def run(_number: int) -> None:
        nonlocal begun
        begun += 1
        await asyncio.sleep(0 if begun == 1 else 0.2)

    await driven(run, asked(4), lambda: 10 * begun)
    assert [next(iter(line)) for line in said] == ["begin", "end"]
    assert said[1]["end"]["runs"] >= 4
    assert said[1]["end"]["p50_ms"] >= 200


async def test_latencies_of_the_quickest_alone_are_not_told(said: list[dict[str, Any]]) -> None:
    async def run(number: int) -> None:
        if number % 4:
            await asyncio.Event().wait()
        await asyncio.sleep(0.1 if number else 0)

    await driven(run, asked(4, patience=0.1), lambda: 0)
    assert said[-1]["end"]["runs"] > 0
    assert said[-1]["end"]["p50_ms"] is None


async def test_a_run_that_began_beside_fewer_only_ends(said: list[dict[str, Any]]) -> None:
    begun, old, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def run(number: int) -> None:
        if number:
            ended.set()  # the lane's next run: the one before is counted by now
            await asyncio.Event().wait()
        begun.set()
        await old.wait()

    lanes = Lanes(run, asked(1), lambda: 0)
    lanes._add(1)
    await begun.wait()
    lanes.begin(1, {})
    old.set()
    await ended.wait()
    assert (lanes.lap.ended, lanes.lap.latencies) == (1, [])
    lanes._under_way[0].cancel()


async def test_no_lane_repeats_anothers_number(said: list[dict[str, Any]]) -> None:
    numbers: list[int] = []

    async def run(number: int) -> None:
        numbers.append(number)
        await asyncio.sleep(0)

    await driven(run, asked(1, 3), lambda: len(numbers))
    assert len(set(numbers)) == len(numbers)


async def test_a_contender_whose_runs_fail_is_told_with_the_reason(
    said: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "HOPELESS", 0)

    async def run(_number: int) -> None:
        raise RuntimeError("no such table")

    lanes = Lanes(run, asked(1), lambda: 0)
    with pytest.raises(RuntimeError, match="no such table"):
        await lanes.first()
    for task in lanes._under_way:
        task.cancel()
