"""When memory is short, and when enough was let go; what a process may have."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from trunkline.observe import memory
from trunkline.settings import Settings
from trunkline_workers.agent.sleepers import Shortage, Sleepers


class Process:
    """``kept``: what it freed stays resident."""

    def __init__(self, limit: int, *, kept: bool) -> None:
        self.blocks, self._kept, self._most = 0, kept, 0
        self.shortage = Shortage(limit, resident=self.resident, blocks=lambda: self.blocks)

    def resident(self) -> int:
        self._most = max(self._most, self.blocks)
        return (self._most if self._kept else self.blocks) * 100

    def let_go(self) -> int:
        """What is left when enough was let go."""
        while not self.shortage.over():
            self.blocks -= 1
        return self.blocks


def test_above_the_limit_as_much_leaves_as_brings_it_well_below() -> None:
    process = Process(100_000, kept=False)
    process.blocks = 1000
    assert not process.shortage.acute()
    process.blocks = 1001
    assert process.shortage.acute()
    assert process.let_go() == 900
    assert not process.shortage.acute()


def test_memory_that_python_keeps_is_not_let_go_again_and_again() -> None:
    process = Process(100_000, kept=True)
    process.blocks = 1200
    assert process.shortage.acute()
    assert process.let_go() == 900
    assert not process.shortage.acute(), "1200 blocks are resident still, but 300 of them are free"
    process.blocks = 1000
    assert not process.shortage.acute()
    process.blocks = 1001
    assert process.shortage.acute()


def test_a_process_that_grew_for_another_reason_is_counted_anew() -> None:
    process = Process(100_000, kept=True)
    process.blocks = 1010
    assert process.shortage.acute()
    assert process.let_go() == 900
    process._most = 2000
    assert process.shortage.acute(), "as many blocks take twice the memory now"
    assert process.let_go() == 405


def test_what_is_resident_is_known_and_less_than_what_there_is() -> None:
    assert 1_000_000 < memory.resident() < memory.available()
    assert memory.blocks() > 1000


def test_a_container_has_what_it_is_given(tmp_path: Path) -> None:
    limit, none, missing = tmp_path / "limit", tmp_path / "none", tmp_path / "missing"
    limit.write_text("1000000\n")
    none.write_text("max\n")
    assert memory.available((missing, none, limit)) == 1_000_000
    assert memory.available((missing, none)) == memory.available(())


class Idle:
    """As much of an activation as is looked at."""

    idle, closed, touched = True, False, 0.0

    def __init__(self, instance: str) -> None:
        self.lease = SimpleNamespace(instance=instance)


async def test_all_that_are_idle_have_left_after_one_round_however_many_left_before() -> None:
    held: dict[str, Any] = {str(n): Idle(str(n)) for n in range(1000)}
    sleepers = Sleepers(held, (), Settings(idle_after=20.0))
    looks = 0
    while held and looks < 100:
        looks += 1
        for one in sleepers.aged(0.25):
            del held[one.lease.instance]
    assert looks == 20, "5 seconds, a quarter of the time that they may be idle"


async def test_who_is_awake_stays() -> None:
    held: dict[str, Any] = {name: Idle(name) for name in ("at work", "with mail", "touched", "asleep")}
    held["at work"].idle = False
    held["touched"].touched = asyncio.get_running_loop().time()
    sleepers = Sleepers(held, ({"with mail"},), Settings(idle_after=0.5, max_activations=4))
    assert [one.lease.instance for one in sleepers.aged(0.25)] == ["asleep"]
    assert [one.lease.instance for one in sleepers.rested()] == ["asleep"]
    assert [one.lease.instance for one in sleepers.crowding(1)] == ["asleep"]
    assert sleepers.crowding(0) == []
