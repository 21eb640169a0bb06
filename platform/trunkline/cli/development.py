"""What ``trunkline dev`` runs: every part as a child process over the embedded servers, until it is asked to stop."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

from rich.text import Text

from trunkline.authoring.app import App
from trunkline.cli import model_keys
from trunkline.cli.output import console, say
from trunkline.domain.errors import NotUnderstood
from trunkline.embedded.children import Children
from trunkline.embedded.parts import all_joined, gateway_answers, parts_of
from trunkline.embedded.serving import starting
from trunkline.embedded.stack import Stack
from trunkline.store.database import Database

LOOK_EVERY = 0.1  # seconds between two looks whether everything is up
WATCH_EVERY = 1.0  # seconds between two looks whether the servers are still there
SCHEMA_WITHIN = 60  # seconds in which the tables are there

Doing = Callable[[], Coroutine[Any, Any, None]]

_COLOURS = {"gateway": "blue", "supervisor": "magenta", "agents": "green", "tools": "yellow", "llm": "cyan"}


async def serve(spec: str, app: App, data: Path | None, stop: asyncio.Event, *, workers: int) -> None:
    """Run the servers, and the parts that ``app`` (which ``spec`` names) needs: these load while those come up.

    Raises:
        NotConfigured: the servers cannot use the directory ``data``.
        Unavailable: a server did not come up.
        NotUnderstood: a part says that it cannot start like this.
        ServerEnded: a server died.
    """
    parts = parts_of(spec, app, workers)
    say("starting NATS and Postgres …")
    async with starting(data) as (stack, up):
        say(f"starting {', '.join(parts)} …")
        environment = stack.environment(log_format="console", metrics_port=0, schema_wait=SCHEMA_WITHIN)
        async with Children(environment, teller(stop)) as children:
            for name, arguments in parts.items():
                children.add(name, *arguments)
            await _until(stop, up, children, partial(_watch, stack), partial(_announce, parts, stack, app))
            say("stopping … (once more ends it at once)")


async def _until(stop: asyncio.Event, up: asyncio.Future[None], children: Children, watch: Doing, tell: Doing) -> None:
    """Until ``stop`` is set, or a server or a part cannot go on. ``watch`` and ``tell`` begin when servers are up."""
    stopping = asyncio.create_task(stop.wait())
    ends: list[asyncio.Future[Any]] = [stopping, children.broken]
    begun: list[asyncio.Task[None]] = []
    try:
        await asyncio.wait([*ends, up], return_when=asyncio.FIRST_COMPLETED)
        if up.done():
            up.result()
            begun = [asyncio.create_task(watch()), asyncio.create_task(tell())]
            ends.append(begun[0])
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            if end.done():
                end.result()
    finally:
        for task in (stopping, *begun):
            task.cancel()


async def _watch(stack: Stack) -> None:
    """Until a server is gone."""
    while True:
        stack.check()
        await asyncio.sleep(WATCH_EVERY)


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


async def _announce(parts: dict[str, tuple[str, ...]], stack: Stack, app: App) -> None:
    """Say when all is there. The LLM workers load their library for longer than everything else takes."""
    settings = stack.settings()
    url = f"http://{settings.host}:{settings.port}"
    first = {name: arguments for name, arguments in parts.items() if arguments[:2] != ("worker", "llm")}
    db = await Database.of(settings, size=1, wait=60)
    try:
        while not (await all_joined(db, first) and await gateway_answers(url)):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_EVERY)
        _welcome(stack, url, app)
        if first.keys() != parts.keys():
            while not await all_joined(db, parts):  # noqa: ASYNC110
                await asyncio.sleep(LOOK_EVERY)
            say("The LLM worker is there, too.")
    finally:
        await db.close()


def _welcome(stack: Stack, url: str, app: App) -> None:
    agents, tools = app.specs()
    say("")
    say("Trunkline is ready.", "bold green")
    say(f"  gateway   {url}  (its API: {url}/docs)")
    say(f"  NATS      {stack.nats.url}")
    say(f"  Postgres  {stack.postgres.url}")
    say(f"  agents    {', '.join(agent.name for agent in agents) or 'none'}")
    say(f"  tools     {', '.join(tool.name for tool in tools) or 'none'}")
    if any(agent.kind == "llm" for agent in agents):
        say("  models    are called as soon as the LLM worker has loaded litellm, in a few seconds")
    for model, key in model_keys.missing(agents, stack.settings(), os.environ).items():
        say(f"{key} is not set, and TRUNKLINE_MODEL_API_BASE is not either: {model} will refuse its calls.", "yellow")
    say("For trunkline check and doctor, which ask the servers themselves:")
    for name in ("TRUNKLINE_NATS_URL", "TRUNKLINE_DATABASE_URL"):
        say(f"export {name}={quote(stack.environment()[name])}")
    say("In another terminal: trunkline run AGENT INPUT --follow; trunkline ps. Ctrl-C stops everything.")
    say("")
