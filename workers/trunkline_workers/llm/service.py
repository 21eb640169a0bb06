"""The LLM worker: carries out model calls. Any number may run; they share the work of the pools that they serve."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

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

    litellm is loaded from the start on, and the worker joins once it is, some seconds later. See ``hands.serve``.
    """
    loading = asyncio.create_task(library.load())

    async def furnish(lines: Lines) -> Sequence[Bench]:
        caller = Caller(await asyncio.shield(loading), lines.bus, settings)
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
        await asyncio.wait({loading})  # a thread cannot be called off
        if not loading.cancelled() and loading.exception() is None:
            await library.close(loading.result())


def pools(app: App | None) -> list[str]:
    """The pools that a worker of ``app`` serves."""
    specs = [] if app is None else app.specs()[0]
    return sorted({DEFAULT_POOL} | {spec.model.pool for spec in specs if spec.model is not None})


def durable(tenant: str, pool: str) -> str:
    """The consumer's name."""
    return f"llm={tenant}={pool}"
