"""What ``trunkline dev`` runs: every part as a child process over the embedded servers, until it is asked to stop."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.text import Text

from trunkline.authoring.app import App
from trunkline.cli.output import console, say
from trunkline.domain.errors import NotUnderstood
from trunkline.embedded.children import Children
from trunkline.embedded.parts import all_joined, gateway_answers, parts_of
from trunkline.embedded.serving import servers
from trunkline.embedded.stack import Stack
from trunkline.settings import Settings
from trunkline.store.database import Database

LOOK_EVERY = 0.1  # seconds between two looks whether everything is up

_COLOURS = {"gateway": "blue", "supervisor": "magenta", "agents": "green", "tools": "yellow", "llm": "cyan"}


async def serve(spec: str, app: App, data: Path | None, stop: asyncio.Event, *, workers: int) -> None:
    """Run the servers, and then the parts that ``app`` (which ``spec`` names) needs.

    Raises:
        NotConfigured: the servers cannot use the directory ``data``.
        Unavailable: a server did not come up.
        NotUnderstood: a part says that it cannot start like this.
    """
    say("starting NATS and Postgres …")
    async with servers(data) as stack:
        if not stop.is_set():
            await _parts(spec, app, stack, stop, workers)


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
    db = await Database.of(settings, size=1, wait=60)
    try:
        while not (await all_joined(db, parts) and await gateway_answers(url)):  # noqa: ASYNC110
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
