"""Carrying out one tool call: its context, its thread if it needs one, and its error if it raises."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import Any

from trunkline.authoring.tool import Tool
from trunkline.authoring.tool_context import ToolContext
from trunkline.bus.connection import Bus
from trunkline.domain.work import NOT_HAPPENED
from trunkline.observe import logs
from trunkline_workers.execution import Execution, HandBack, Result, Station
from trunkline_workers.failures import failure, failure_of
from trunkline_workers.tool.limiter import Rate
from trunkline_workers.tool.processes import ToolProcesses
from trunkline_workers.tool.progress import Progress
from trunkline_workers.tool.threads import Beginning, ToolThreads

log = logs.get("tool")


def station(tool: Tool[Any, Any], bus: Bus) -> Station:
    """Where the calls of ``tool`` are carried out. As many executions may be stuck as may run at once."""
    spec = tool.spec
    gate = Rate(spec.rate) if spec.rate is not None else nullcontext()
    calls = _Calls(tool, bus)
    interruptible = tool.is_async or tool.process
    return Station(
        "tool",
        tool.name,
        calls,
        gate,
        spec.concurrency,
        interruptible=interruptible,
        stuck=calls.stuck,
        close=calls.close,
    )


class _Calls:
    """The calls of one tool."""

    def __init__(self, tool: Tool[Any, Any], bus: Bus) -> None:
        self._tool, self._bus = tool, bus
        self._processes = ToolProcesses(tool) if tool.process else None
        self._threads = None if tool.is_async else ToolThreads(f"tool {tool.name}", 2 * tool.spec.concurrency)

    def stuck(self) -> str:
        """Why no call can be taken."""
        return self._threads.stuck if self._threads is not None else ""

    async def close(self) -> None:
        """Leave no process behind."""
        if self._processes is not None:
            await self._processes.close()

    async def __call__(self, execution: Execution) -> Result:
        progress = Progress(self._bus, execution.item)
        try:
            if execution.item.probe:
                return await self._find_out(_context(execution, progress), execution.args)
            tc = _context(execution, progress)
            if self._processes is not None:
                return Result(**await self._processes.run(tc, execution.args, progress.report, execution.begin))
            if self._threads is not None:
                return Result(await self._tool.invoke(tc, execution.args, Beginning(self._threads, execution.begin)))
            execution.begin()
            return Result(await self._tool.invoke(tc, execution.args))
        except HandBack:
            raise
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and execution.stopped:
                raise
            log.warning("the tool failed", tool=self._tool.name, attempt=execution.item.attempt, exc_info=error)
            failed = failure_of(error)  # SystemExit, too, ends only the call
            return Result(error={**failed, "unknown": True} if execution.item.probe else failed)
        finally:
            progress.close()

    async def _find_out(self, tc: ToolContext, arguments: Any) -> Result:
        """What became of a call that was begun, and of which nothing was heard again."""
        happened, value = await self._tool.find_out(tc, arguments, self._threads)
        return Result(value) if happened else Result(error=failure(NOT_HAPPENED, "it did not happen", retryable=False))


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
