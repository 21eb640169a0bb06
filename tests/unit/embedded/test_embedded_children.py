"""Child processes: started again when they die, asked to stop in the end, and never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from trunkline.domain.errors import NotUnderstood
from trunkline.embedded.children import Children

PYTHON = (sys.executable, "-c")
POLITE = "import os, signal, time; print('up', os.getpid(), flush=True); time.sleep(600)"
STUBBORN = (
    "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', os.getpid(), flush=True)\n"
    "time.sleep(600)"
)


class Told:
    """What the children said."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def __call__(self, name: str, line: str) -> None:
        self.lines.put_nowait((name, line))

    async def line(self, start: str) -> str:
        while True:
            _, line = await asyncio.wait_for(self.lines.get(), 20)
            if line.startswith(start):
                return line

    async def pid(self) -> int:
        return int((await self.line("up")).split()[1])


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return (
        Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z" if Path("/proc").exists() else False
    )


async def test_a_child_that_is_killed_is_started_again() -> None:
    told = Told()
    async with Children({}, told, program=PYTHON) as children:
        children.add("one", POLITE)
        first = await told.pid()
        os.kill(first, signal.SIGKILL)
        assert "killed by SIGKILL" in await told.line("ended")
        second = await told.pid()
        assert children.pids == {"one": second}
    assert first != second
    assert gone(second)


async def test_leaving_ends_polite_and_stubborn_children() -> None:
    told = Told()
    async with Children({}, told, program=PYTHON, patience=0.5) as children:
        children.add("polite", POLITE)
        children.add("stubborn", STUBBORN)
        pids = [await told.pid(), await told.pid()]
    assert [gone(pid) for pid in pids] == [True, True]


async def test_a_child_that_was_asked_wrongly_is_not_started_again() -> None:
    async with Children({}, Told(), program=PYTHON) as children:
        children.add("wrong", "raise SystemExit(2)")
        with pytest.raises(NotUnderstood, match="wrong"):
            await asyncio.wait_for(children.broken, 20)


async def test_children_get_the_environment_and_their_lines_come_back() -> None:
    told = Told()
    async with Children({"GIVEN": "a value"}, told, program=PYTHON) as children:
        children.add("one", "import os, sys; print(os.environ['GIVEN']); print('x' * 3_000_000); print('after')")
        assert await told.line("a value")
        assert await told.line("(a line that is too long")
        assert await told.line("after")


async def test_no_child_outlives_a_killed_parent(eventually) -> None:
    script = f"""
import asyncio
from trunkline.embedded.children import Children

async def main():
    async with Children({{}}, lambda name, line: print(line, flush=True), program={PYTHON!r}) as children:
        children.add("one", {STUBBORN!r})
        await asyncio.Event().wait()

asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    child = int((await parent.stdout.readline()).split()[1])
    parent.kill()
    await parent.communicate()
    await eventually(lambda: gone(child), timeout=20)
