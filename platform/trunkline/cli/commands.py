"""``trunkline``: all commands, by name.

This module and the modules of the command groups import nothing heavy: ``trunkline --help`` is to be instant.
"""

from __future__ import annotations

from typing import Annotated

import typer

from trunkline.cli import (
    agents,
    approvals,
    catalog,
    chaos,
    database,
    dead_letters,
    deploying,
    develop,
    doctor,
    instances,
    messages,
    runs,
    schedules,
    services,
)

app = typer.Typer(
    name="trunkline",
    help="Event-driven AI agents on NATS JetStream, event-sourced in Postgres.",
    epilog="Settings are environment variables: TRUNKLINE_NATS_URL, TRUNKLINE_DATABASE_URL, TRUNKLINE_GATEWAY_URL, …"
    " Exit status: 0 done, 1 failed, 2 asked wrongly, 3 a server cannot be reached.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

app.command()(develop.dev)
app.command()(develop.demo)
app.command()(chaos.chaos)
app.add_typer(services.worker, name="worker")
app.command()(services.supervisor)
app.command()(services.gateway)
app.command()(services.sensors)
app.command()(database.migrate)
app.command()(database.check)
app.command()(messages.run)
app.command()(messages.publish)
app.command()(messages.signal)
app.add_typer(runs.app, name="runs")
app.command()(runs.journal)
app.add_typer(agents.app, name="agents")
app.add_typer(instances.app, name="instances")
app.command()(catalog.tools)
app.command()(deploying.deploy)
app.command()(deploying.rollback)
app.add_typer(deploying.app, name="definitions")
app.add_typer(schedules.app, name="schedules")
app.add_typer(approvals.app, name="approvals")
app.add_typer(dead_letters.app, name="dead-letters")
app.command()(catalog.ps)
app.command()(doctor.doctor)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"trunkline {version('trunkline')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None: ...
