"""The processes that an App needs besides the servers, as arguments of ``trunkline``; and whether they are up."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from urllib.error import URLError
from urllib.request import urlopen

from trunkline.authoring.app import App
from trunkline.store import workers as roster
from trunkline.store.database import Database, Unreachable


def parts_of(spec: str, app: App, workers: int, *, models: int = 1) -> dict[str, tuple[str, ...]]:
    """The processes by name, with the arguments of each. ``spec`` names ``app`` on a command line; there are
    ``workers`` agent workers and as many tool workers, and ``models`` LLM workers, where the App has work for them.
    """
    agents, tools = app.specs()
    parts: dict[str, tuple[str, ...]] = {"gateway": ("gateway",), "supervisor": ("supervisor",)}
    parts |= _workers("agents", spec, workers)
    if tools:
        parts |= _workers("tools", spec, workers)
    if any(agent.kind == "llm" for agent in agents):
        parts |= _workers("llm", spec, models)
    if app.sensors:
        parts["sensors"] = ("sensors", spec)
    return parts


def _workers(kind: str, spec: str, how_many: int) -> dict[str, tuple[str, ...]]:
    return {f"{kind}.{number}": ("worker", kind, spec) for number in range(1, how_many + 1)}


async def all_joined(db: Database, parts: Mapping[str, Sequence[str]]) -> bool:
    """Whether all workers of ``parts`` are on the roster."""
    wanted = Counter(part[1] for part in parts.values() if part[0] == "worker")
    with suppress(Unreachable):
        return Counter(worker.kind for worker in await roster.list_workers(db)) >= wanted
    return False


async def gateway_answers(url: str) -> bool:
    """Whether the gateway at ``url`` is ready."""
    return await asyncio.to_thread(_answers, f"{url}/readyz")


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as answer:  # noqa: S310 - http on our own port
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
