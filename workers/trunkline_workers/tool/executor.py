"""Carrying out one tool call: its context, its thread if it needs one, and its error if it raises."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import Any

from trunkline.authoring.tool import Tool
from trunkline.authoring.tool_context import ToolContext
from trunkline.bus.connection import Bus
from trunkline.observe import logs
from trunkline_workers.execution import Execution, Result, Station
from trunkline_workers.failures import failure_of
from trunkline_workers.tool.limiter import Rate
from trunkline_workers.tool.progress import Progress
from trunkline_workers.tool.threads import ToolThreads

log = logs.get("tool")


def station(tool: Tool[Any, Any], bus: Bus) -> Station:
    """Where the calls of ``tool`` are carried out. As many executions may be stuck as may run at once."""
    spec = tool.spec
    gate = Rate(spec.rate) if spec.rate is not None else nullcontext()
    calls = _Calls(tool, bus)
    return Station("tool", tool.name, calls, gate, spec.concurrency, interruptible=tool.is_async, stuck=calls.stuck)


class _Calls:
    """The calls of one tool."""

    def __init__(self, tool: Tool[Any, Any], bus: Bus) -> None:
        self._tool, self._bus = tool, bus
        self._threads = None if tool.is_async else ToolThreads(f"tool {tool.name}", 2 * tool.spec.concurrency)

    def stuck(self) -> str:
        """Why no call can be taken."""
        return self._threads.stuck if self._threads is not None else ""

    async def __call__(self, execution: Execution) -> Result:
        progress = Progress(self._bus, execution.item)
        try:
            return Result(await self._tool.invoke(_context(execution, progress), execution.args, self._threads))
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and execution.stopped:
                raise
            log.warning("the tool failed", tool=self._tool.name, attempt=execution.item.attempt, exc_info=error)
            return Result(error=failure_of(error))  # SystemExit, too, ends only the call
        finally:
            progress.close()


def _context(execution: Execution, progress: Progress) -> ToolContext:
    item = execution.item
    return ToolContext(
        idempotency_key=item.idempotency_key,
        attempt=item.attempt,
        tool=item.name,
        run_id=item.run,
        step=item.step,
        tenant=item.tenant,
        agent=item.agent,
        on_progress=progress.report,
    )
