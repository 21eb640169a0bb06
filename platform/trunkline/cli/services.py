"""Commands that run one part of the exchange, any number of times, on any machine."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from trunkline.cli.process import Service
    from trunkline.settings import Settings

AppSpec = Annotated[
    str, typer.Argument(metavar="APP", help="A file or a module, with :NAME where it holds several Apps.")
]

worker = typer.Typer(help="Run a worker, any number of each kind.", no_args_is_help=True)


@worker.command("agents")
def agents(app: AppSpec) -> None:
    """Run APP's agents."""
    from trunkline_workers.agent import service

    _run_app(service.serve, app)


@worker.command("tools")
def tools(app: AppSpec) -> None:
    """Carry out APP's tools."""
    from trunkline_workers.tool import service

    _run_app(service.serve, app)


@worker.command("llm")
def llm(app: AppSpec) -> None:
    """Make the model calls of APP's agents."""
    from trunkline_workers.llm import service

    _run_app(service.serve, app)


def sensors(app: AppSpec) -> None:
    """Run APP's sensors, which publish events."""
    from trunkline_sensors import service

    _run_app(service.serve, app)


def supervisor() -> None:
    """Watch over workers, timers and what lies still.

    Any number may run; one of them leads.
    """
    from trunkline.cli.configuration import load_settings
    from trunkline.supervisor import service

    settings = load_settings()
    _run(partial(service.serve, settings), settings)


def gateway(
    host: Annotated[str | None, typer.Option(help="Address to listen on [default: TRUNKLINE_HOST]")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one [default: TRUNKLINE_PORT]")] = None,
) -> None:
    """Serve runs, streams and events over HTTP.

    The documentation of the API is at /docs. Beyond loopback it needs TRUNKLINE_API_KEYS.
    """
    from trunkline.cli.configuration import load_settings
    from trunkline.gateway import server

    settings = load_settings(host=host, port=port)
    _run(lambda stop: server.serve(settings, stop, lambda *_: None), settings)


def _run_app(serve: Any, spec: str) -> None:
    from trunkline.authoring.loading import load_app
    from trunkline.cli.configuration import load_settings

    settings = load_settings()
    app = load_app(spec)
    _run(partial(serve, app, settings), settings)


def _run(service: Service, settings: Settings) -> None:
    from trunkline.cli import process

    raise typer.Exit(process.run(service, settings))
