"""The tool worker: carries out the calls of an app's tools. Any number may run; they share the work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from trunkline.authoring.app import App
from trunkline.authoring.tool import Tool
from trunkline.settings import Settings
from trunkline_workers import hands
from trunkline_workers.hands import Bench
from trunkline_workers.starting import Lines
from trunkline_workers.tool.executor import station


async def serve(
    app: App, settings: Settings, stop: asyncio.Event, on_ready: Callable[[], object] | None = None
) -> None:
    """Carry out the tools of ``app`` until ``stop`` is set. See ``hands.serve``."""

    async def furnish(lines: Lines) -> Sequence[Bench]:
        return [_bench(tool, lines, settings) for tool in app.tools.values()]

    await hands.serve("tools", app.name, settings, stop, furnish, on_ready=on_ready)


def _bench(tool: Tool[Any, Any], lines: Lines, settings: Settings) -> Bench:
    spec = tool.spec
    return Bench(
        station=station(tool, lines.bus),
        durable=durable(settings.tenant, spec.app, spec.name),
        subject=lines.bus.subjects.tool(settings.tenant, spec.app, spec.name),
        capacity=spec.concurrency,
    )


def durable(tenant: str, app: str, tool: str) -> str:
    """The consumer's name. ``=`` stands in no name, so that two tools never share one."""
    return f"tool={tenant}={app}={tool}"
