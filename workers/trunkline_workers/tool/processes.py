"""Processes for tools that compute: the event loop and the other calls go on beside them.

A call has a process to itself while it lasts. One that is stopped (its timeout, a cancellation, the end of the worker)
is killed, and one that dies (out of memory, a fault in C) costs its own call; both are replaced when they are needed.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from typing import Any

from trunkline.authoring.tool import Tool
from trunkline.authoring.tool_context import ToolContext
from trunkline.domain import codec
from trunkline.domain.errors import BadDeclaration
from trunkline.observe import logs
from trunkline_workers.failures import failure
from trunkline_workers.tool.child import HEAD, frame

log = logs.get("tool")

CHILD = "trunkline_workers.tool.child"


class ToolProcesses:
    """As many as there are calls at once; those that have nothing to do wait for the next call until ``close``."""

    def __init__(self, tool: Tool[Any, Any]) -> None:
        """
        Raises:
            BadDeclaration: the tool is in a script that runs itself.
        """
        module, name = tool.place
        if module == "__main__":
            fix = "Load it by its file: trunkline worker tools app.py"
            reason = "it has process=True, and its module is the script that runs"
            raise BadDeclaration(what=f"tool {tool.name!r}", reason=reason, fix=fix)
        self._where = {"path": sys.path, "module": module, "name": name}
        self._unsafe = tool.spec.effect == "unsafe"
        self._idle: list[_Process] = []
        self._all: set[_Process] = set()
        self._ending: set[asyncio.Future[int]] = set()

    async def run(
        self, tc: ToolContext, args: Any, report: Callable[[str, Any], None], begin: Callable[[], None]
    ) -> dict[str, Any]:
        """Carry out one call: ``{"value": …}`` or ``{"error": …}``. Cancelled, it kills the process. ``begin`` is
        called when there is one, just before it hears of the call.
        """
        process = await self._free()
        context = {one.name: getattr(tc, one.name) for one in fields(tc) if one.name != "on_progress"}
        try:
            begin()
            answer = await process.call({"context": context, "args": args}, report)
        except (OSError, EOFError):
            return {"error": await self._died(process)}
        except BaseException:
            self._end(process)
            raise
        self._idle.append(process)
        return answer

    async def close(self) -> None:
        """Kill them all, and wait until they are gone."""
        for process in list(self._all):
            self._end(process)
        self._idle.clear()
        await asyncio.gather(*self._ending)

    async def _free(self) -> _Process:
        """One that waits for a call, or a new one. What died while it waited has cost no call, and costs none now."""
        while self._idle:
            process = self._idle.pop()
            if process.alive:
                return process
            self._end(process)
        return await self._start()

    async def _start(self) -> _Process:
        process = await _Process.start(self._where)
        self._all.add(process)
        return process

    async def _died(self, process: _Process) -> dict[str, Any]:
        self._end(process)
        status = await process.status()
        log.warning("a tool's process died", status=status)
        error = failure("ProcessDied", f"its process ended with status {status}", retryable=not self._unsafe)
        return {**error, "unknown": True} if self._unsafe else error

    def _end(self, process: _Process) -> None:
        self._all.discard(process)
        process.kill()
        ending = asyncio.ensure_future(process.status())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)


class _Process:
    """One child, and the line to it."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process, self._reader, self._writer = process, reader, writer

    @classmethod
    async def start(cls, where: dict[str, Any]) -> _Process:
        """A fresh interpreter, so that nothing of this one's threads and connections is in it."""
        ours, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            command = (sys.executable, "-m", CHILD, str(number))
            process = await asyncio.create_subprocess_exec(
                *command, pass_fds=[number], stdin=asyncio.subprocess.DEVNULL
            )
        started = cls(process, *await asyncio.open_connection(sock=ours))
        started._writer.write(frame(where))
        return started

    async def call(self, asked: dict[str, Any], report: Callable[[str, Any], None]) -> dict[str, Any]:
        """Send the call, and read until it has ended.

        Raises:
            OSError, EOFError: the process died.
        """
        self._writer.write(frame(asked))
        await self._writer.drain()
        while True:
            size = int.from_bytes(await self._reader.readexactly(HEAD))
            said: dict[str, Any] = codec.loads(await self._reader.readexactly(size))
            if "progress" not in said:
                return said
            report(*said["progress"])

    @property
    def alive(self) -> bool:
        """Whether nothing says that it has ended."""
        return self._process.returncode is None and not self._reader.at_eof()

    async def status(self) -> int:
        return await self._process.wait()

    def kill(self) -> None:
        self._writer.close()
        with suppress(ProcessLookupError):
            self._process.kill()
