"""Commands for one machine, with NATS and Postgres embedded: ``dev`` runs an App with everything, ``demo`` shows it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from trunkline.cli.services import AppSpec


def dev(
    app: AppSpec,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Agent workers, and tool workers.")] = 1,
    data: Annotated[
        Path | None, typer.Option(file_okay=False, help="Keep the data here; without it, it goes at the end.")
    ] = None,
) -> None:
    """Run APP with everything it needs, embedded.

    NATS, Postgres, the gateway, a supervisor, workers and sensors, each a process. A part that dies is started again;
    if NATS or Postgres dies, all are stopped. Ctrl-C stops them, too.
    """
    import asyncio
    from functools import partial

    from trunkline.authoring.loading import load_app
    from trunkline.cli import process
    from trunkline.cli.configuration import load_settings
    from trunkline.cli.development import check_port, serve

    settings = load_settings(log_format="console")
    loaded = load_app(app)
    check_port(settings.host, settings.port)
    service = partial(serve, app, loaded, data, workers=workers)
    raise typer.Exit(process.run(service, settings, loop_factory=asyncio.new_event_loop))


def demo(
    orders: Annotated[int, typer.Option(min=10, max=1000, help="How many orders come in.")] = 60,
    within: Annotated[float, typer.Option(min=10, help="How many seconds it may take.")] = 55,
    json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON, and nothing else.")] = False,
) -> None:
    """Run the support desk, kill workers, count losses.

    It starts the embedded servers and every part as a process, publishes real events, kills workers while they hold
    work, and ends by itself with a table of what was lost or done twice. Exit status 0 only if every number is right.
    """
    from trunkline.domain.errors import NotUnderstood

    script = demo_script()
    if script is None:
        raise NotUnderstood(what="The demo", reason="examples/support_desk is not installed; reinstall trunkline")
    sys.stdout.flush()
    arguments = ["--orders", str(orders), "--within", str(within), *(["--json"] if json else [])]
    os.execv(sys.executable, [sys.executable, str(script), *arguments])  # noqa: S606 - our own script, no shell


def demo_script() -> Path | None:
    """The demo as it was installed, or as it lies in the source tree."""
    package = Path(__file__).parents[1]
    places = (package, package.parents[1])
    scripts = (place / "examples" / "support_desk" / "demo.py" for place in places)
    return next((script for script in scripts if script.is_file()), None)
