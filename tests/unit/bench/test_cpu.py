"""CPU time is told by role, with what a process started."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from benchmarks.bench import cpu

_BURN = "import time\nwhile time.process_time() < 0.3: pass\nprint('burnt', flush=True)\nimport sys; sys.stdin.read()"
_PARENT = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {_BURN!r}])"


@pytest.fixture
def busy() -> Iterator[int]:
    """A process whose child has used 0.3 s and goes on living."""
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"burnt\n"
        yield process.pid


def test_a_childs_time_is_its_parents(busy: int) -> None:
    assert 0.25 < cpu.seconds({"agents": busy})["agents"] < 5


def test_a_role_of_its_own_is_not_counted_twice(busy: int) -> None:
    """The busy process is a child of this one."""
    before = cpu.seconds({"load": os.getpid()})["load"]
    apart = cpu.seconds({"load": os.getpid(), "agents": busy})
    assert before - apart["load"] > 0.2
    assert apart["agents"] > 0.25
