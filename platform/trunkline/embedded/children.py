"""Processes of ours as children: their lines are prefixed, one that dies is started again, and none is left behind.

All are in one process group that a *guard* leads: a shell that waits on a pipe from this process. If this process ends
in any way, SIGKILL included, the pipe closes, and the guard ends the group.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Self

from trunkline.domain.errors import NotUnderstood

Tell = Callable[[str, str], None]  # the child's name, and a line

FIRST_DELAY = 0.2  # seconds before a child is started again; doubles up to LONGEST_DELAY
LONGEST_DELAY = 10.0
MAX_LINE = 1024 * 1024  # bytes
ASKED_WRONGLY = 2  # the exit status of a command that cannot start like this
TRUNKLINE = (sys.executable, "-m", "trunkline.cli.main")

_GUARD = """
trap '' TERM INT
read -r _ && exit 0
kill -s TERM 0
sleep 5
kill -s KILL 0
"""


class Children:
    """An async context: on leaving it all children are asked to stop, and killed after ``patience`` seconds."""

    def __init__(
        self, environment: Mapping[str, str], tell: Tell, *, patience: float = 30.0, program: Sequence[str] = TRUNKLINE
    ) -> None:
        self._environment = {**os.environ, **environment}
        self._tell, self._patience, self._program = tell, patience, program
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._dismissed: set[str] = set()
        self._stopping = asyncio.Event()
        self._guard: subprocess.Popen[bytes] | None = None
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def pids(self) -> dict[str, int]:
        """The process id of every child that runs just now, by name."""
        return {name: process.pid for name, process in self._running.items()}

    def add(self, name: str, *arguments: str) -> None:
        """Run the program with ``arguments`` until the context ends. If it says that it was asked wrongly (status 2),
        starting it again would not help: ``broken`` fails then, with NotUnderstood.
        """
        command = (*self._program, *arguments)
        task = asyncio.create_task(self._keep(name, command), name=name)
        task.add_done_callback(self._kept)
        self._tasks.append(task)

    def kill(self, name: str) -> None:
        """SIGKILL to a child that runs; it is not started again."""
        self._dismissed.add(name)
        self._running[name].kill()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send ``number`` to a child, if it runs just now; when it dies of it, it is started again."""
        if name in self._running:
            self._running[name].send_signal(number)

    async def __aenter__(self) -> Self:
        self._guard = subprocess.Popen(  # noqa: ASYNC220, S603 - a shell, once
            ["/bin/sh", "-c", _GUARD],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping.set()
        for task in self._tasks:
            if task.get_name() not in self._running:
                task.cancel()  # it waits before another start
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._patience)
        for process in self._running.values():
            process.kill()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.broken.cancel()
        if self._guard is not None:
            self._guard.communicate(b"\n")

    async def _keep(self, name: str, command: Sequence[str]) -> None:
        delay = FIRST_DELAY
        while not self._stopping.is_set():
            begun = time.monotonic()
            status = await self._once(name, command)
            if self._stopping.is_set() or name in self._dismissed:
                return
            if status == ASKED_WRONGLY:
                raise NotUnderstood(what=name, reason="it cannot start like this; see its last line")
            delay = FIRST_DELAY if time.monotonic() - begun > LONGEST_DELAY else delay
            self._tell(name, f"ended ({_how(status)}); starts again in {delay:g} s")
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY)

    def _kept(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) and not self.broken.done():
            self.broken.set_exception(error)

    async def _once(self, name: str, command: Sequence[str]) -> int:
        assert self._guard is not None
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environment,
            process_group=self._guard.pid,
            limit=MAX_LINE,
        )
        self._running[name] = process
        try:
            if self._stopping.is_set():
                process.send_signal(signal.SIGTERM)
            await self._read(name, process)
            return await process.wait()
        finally:
            if process.returncode is None:
                process.kill()  # nobody reads what it says
            del self._running[name]

    async def _read(self, name: str, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:
                line = b"(a line that is too long was dropped)"
            if not line:
                return
            self._tell(name, line.decode(errors="replace").rstrip())


def _how(status: int) -> str:
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
