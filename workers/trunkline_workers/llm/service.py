"""The LLM worker: carries out model calls. Any number may run; they share the work of the pools that they serve."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from trunkline.authoring.app import App
from trunkline.settings import Settings
from trunkline_workers import hands
from trunkline_workers.hands import Bench
from trunkline_workers.llm import library
from trunkline_workers.llm.caller import Caller, station
from trunkline_workers.starting import Lines

DEFAULT_POOL = "default"


async def serve(
    app: App | None, settings: Settings, stop: asyncio.Event, on_ready: Callable[[], object] | None = None
) -> None:
    """Carry out the model calls of the default pool, and of those that ``app`` names, until ``stop`` is set.

    The worker joins once litellm is imported, some seconds after the start. See ``hands.serve``.
    """

    loaded: list[Any] = []

    async def furnish(lines: Lines) -> Sequence[Bench]:
        loaded.append(await library.load())
        caller = Caller(loaded[0], lines.bus, settings)
        gate = asyncio.Semaphore(settings.llm_concurrency)
        return [
            Bench(
                station=station(pool, gate, caller, settings),
                durable=durable(settings.tenant, pool),
                subject=lines.bus.subjects.llm(settings.tenant, pool),
                capacity=settings.llm_concurrency,
            )
            for pool in pools(app)
        ]

    try:
        await hands.serve("llm", app.name if app else "", settings, stop, furnish, on_ready=on_ready)
    finally:
        for litellm in loaded:
            await library.close(litellm)


def pools(app: App | None) -> list[str]:
    """The pools that a worker of ``app`` serves."""
    specs = [] if app is None else app.specs()[0]
    return sorted({DEFAULT_POOL} | {spec.model.pool for spec in specs if spec.model is not None})


def durable(tenant: str, pool: str) -> str:
    """The consumer's name."""
    return f"llm={tenant}={pool}"
