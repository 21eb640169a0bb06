"""What ``trunkline dev`` runs: every part as a child process over the embedded servers, until it is asked to stop."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from rich.text import Text

from trunkline.authoring.app import App
from trunkline.cli.children import Children
from trunkline.cli.failures import NotUnderstood
from trunkline.cli.output import console, say
from trunkline.embedded.stack import Stack
from trunkline.settings import Settings
from trunkline.store import migrate
from trunkline.store import workers as roster
from trunkline.store.database import Database, Unreachable

LOOK_EVERY = 0.1  # seconds between two looks whether everything is up

_COLOURS = {"gateway": "blue", "supervisor": "magenta", "agents": "green", "tools": "yellow", "llm": "cyan"}


async def serve(spec: str, app: App, data: Path | None, stop: asyncio.Event, *, workers: int) -> None:
    """Run the servers, and then the parts that ``app`` (which ``spec`` names) needs.

    Raises:
        NotConfigured: the servers cannot use the directory ``data``.
        Unavailable: a server did not come up.
        NotUnderstood: a part says that it cannot start like this.
    """
    async with _servers(data) as stack:
        if not stop.is_set():
            await _parts(spec, app, stack, stop, workers)


@asynccontextmanager
async def _servers(data: Path | None) -> AsyncIterator[Stack]:
    """NATS and Postgres with the tables. In threads, so that signals are heard; what was begun is always ended."""
    say("starting NATS and Postgres …")
    stack = Stack(data)
    try:
        await asyncio.to_thread(stack.start)
        await asyncio.to_thread(migrate.upgrade, stack.postgres.url, stack.settings().database_schema)
        yield stack
    finally:
        await asyncio.to_thread(stack.stop)


async def _parts(spec: str, app: App, stack: Stack, stop: asyncio.Event, workers: int) -> None:
    """Until ``stop`` is set, or a part cannot start."""
    settings = stack.settings()
    parts = parts_of(spec, app, workers)
    say(f"starting {', '.join(parts)} …")
    async with Children(stack.environment(log_format="console", metrics_port=0), teller(stop)) as children:
        for name, arguments in parts.items():
            children.add(name, *arguments)
        announcing = asyncio.create_task(_announce(parts, stack, settings, app))
        stopping = asyncio.create_task(stop.wait())
        ends: set[asyncio.Future[Any]] = {stopping, children.broken}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        announcing.cancel()
        stopping.cancel()
        if children.broken.done():
            children.broken.result()
        say("stopping … (once more ends it at once)")


def parts_of(spec: str, app: App, workers: int) -> dict[str, tuple[str, ...]]:
    """The processes by name, with the arguments of each."""
    agents, tools = app.specs()
    parts: dict[str, tuple[str, ...]] = {"gateway": ("gateway",), "supervisor": ("supervisor",)}
    parts |= {f"agents.{number}": ("worker", "agents", spec) for number in range(1, workers + 1)}
    if tools:
        parts |= {f"tools.{number}": ("worker", "tools", spec) for number in range(1, workers + 1)}
    if any(agent.kind == "llm" for agent in agents):
        parts["llm"] = ("worker", "llm", spec)
    if app.sensors:
        parts["sensors"] = ("sensors", spec)
    return parts


def check_port(host: str, port: int) -> None:
    """Whether the gateway could listen there.

    Raises:
        NotUnderstood: it could not.
    """
    try:
        with socket.create_server((host, port)):
            return
    except OSError as error:
        why = os.strerror(error.errno).lower() if error.errno else str(error)
        reason = f"the gateway cannot listen there ({why}); set TRUNKLINE_PORT to another port"
        raise NotUnderstood(what=f"{host}:{port}", reason=reason) from None


def teller(stop: asyncio.Event) -> Callable[[str, str], None]:
    """Prints a child's line behind its name. When nobody can read that any more, it asks all to ``stop``."""

    def tell(name: str, line: str) -> None:
        prefix = Text(f"{name:<11}│ ", _COLOURS.get(name.partition(".")[0], "white"))
        try:
            console().print(prefix + Text(line))
            sys.stdout.flush()
        except OSError:
            stop.set()

    return tell


async def _announce(parts: dict[str, tuple[str, ...]], stack: Stack, settings: Settings, app: App) -> None:
    url = f"http://{settings.host}:{settings.port}"
    wanted = Counter(part[1] for part in parts.values() if part[0] == "worker")
    db = await Database.open(stack.postgres.url, schema=settings.database_schema, size=1, wait=60)
    try:
        while not (await _joined(db) >= wanted and await asyncio.to_thread(_answers, f"{url}/readyz")):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_EVERY)
    finally:
        await db.close()
    agents, tools = app.specs()
    say("")
    say("Trunkline is ready.", "bold green")
    say(f"  gateway   {url}  (its API: {url}/docs)")
    say(f"  NATS      {stack.nats.url}")
    say(f"  Postgres  {stack.postgres.url}")
    say(f"  agents    {', '.join(agent.name for agent in agents) or 'none'}")
    say(f"  tools     {', '.join(tool.name for tool in tools) or 'none'}")
    say("In another terminal: trunkline run AGENT INPUT --follow; trunkline ps. Ctrl-C stops everything.")
    say("")


async def _joined(db: Database) -> Counter[str]:
    with suppress(Unreachable):
        return Counter(worker.kind for worker in await roster.list_workers(db))
    return Counter()


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as answer:  # noqa: S310 - http on our own port
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
