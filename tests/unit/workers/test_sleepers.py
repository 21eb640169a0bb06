"""When memory is short, and when enough was let go; what a process may have."""

from __future__ import annotations

from pathlib import Path

from trunkline.observe import memory
from trunkline_workers.agent.sleepers import Shortage


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
